"""How far labels can be trusted: against people, against themselves, against another judge."""
