"""Personal data in documents: replaced, or counted."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

import kernels.pii
from winnow import Docs, FilterResult, RowStep

Strings = str | Annotated[tuple[str, ...], Field(min_length=1)]

# datatrove 0.10.1's: example.com and example.org are kept free for examples (RFC 2606), and
# nothing answered at the IP addresses when its authors drew them.
EMAILS = ("email@example.com", "firstname.lastname@example.org")
IPS = (
    "22.214.171.124",
    "126.96.36.199",
    "188.8.131.52",
    "184.108.40.206",
    "220.127.116.11",
    "18.104.22.168",
)
PHONE_NUMBERS = ("+1-202-555-0143", "+1-202-555-0178")  # 555-0100 to -0199 are for fiction
IBANS = ("GB33BUKB20201555555555",)  # the example of the IBAN Registry
PAYMENT_CARDS = ("4111 1111 1111 1111",)  # issued to nobody, for tests of payment systems

# Column and signal by kind.
NAMES = {
    "email": "pii_emails",
    "ip": "pii_ips",
    "phone": "pii_phone_numbers",
    "iban": "pii_ibans",
    "card": "pii_payment_cards",
}


class Pii(RowStep):
    """Replace personal data in the text, or count it in columns. Nothing is dropped.

    E-mail and IP addresses are replaced as datatrove 0.10.1's ``PIIFormatter`` replaces them, but
    found more strictly: no parts of longer numbers, no versions, sections or object identifiers,
    no multicast, no markup before an e-mail address, no file names; and IPv6 too. Where there are
    several replacements they take turns within a document, not across documents, so that they do
    not depend on what came before it. IBANs and payment cards must have a right check digit, a
    known country or issuer and its length. Telephone numbers have none: they are known by their
    form or by a word beside them, most of those in ordinary text are of organisations, and they
    stay unless asked for. With ``mode: tag`` the text stays and the columns ``pii_emails``,
    ``pii_ips``, ``pii_phone_numbers``, ``pii_ibans`` and ``pii_payment_cards`` hold counts.
    """

    kernels: ClassVar[tuple[str, ...]] = ("pii",)

    mode: Literal["replace", "tag"] = Field(
        "replace", description="replace what is found, or append columns that count it"
    )
    remove_emails: bool = Field(True, description="look for e-mail addresses")
    remove_ips: bool = Field(True, description="look for IP addresses")
    only_remove_public_ips: bool = Field(
        True, description="leave addresses of private networks and other special ones alone"
    )
    remove_phone_numbers: bool = Field(False, description="look for telephone numbers")
    remove_ibans: bool = Field(True, description="look for bank accounts (IBAN)")
    remove_payment_cards: bool = Field(True, description="look for payment-card numbers")
    email_replacement: Strings = Field(EMAILS, description="what e-mail addresses become, in turn")
    ip_replacement: Strings = Field(IPS, description="what IP addresses become, in turn")
    phone_number_replacement: Strings = Field(
        PHONE_NUMBERS, description="what telephone numbers become, in turn"
    )
    iban_replacement: Strings = Field(IBANS, description="what IBANs become, in turn")
    payment_card_replacement: Strings = Field(
        PAYMENT_CARDS, description="what payment-card numbers become, in turn"
    )

    def kinds(self) -> tuple[str, ...]:
        """What is looked for."""
        wanted = {
            "email": self.remove_emails,
            "ip": self.remove_ips,
            "phone": self.remove_phone_numbers,
            "iban": self.remove_ibans,
            "card": self.remove_payment_cards,
        }
        return tuple(kind for kind in NAMES if wanted[kind])

    def replacements(self) -> dict[str, tuple[str, ...]]:
        """What each kind becomes."""
        given: dict[str, str | tuple[str, ...]] = {
            "email": self.email_replacement,
            "ip": self.ip_replacement,
            "phone": self.phone_number_replacement,
            "iban": self.iban_replacement,
            "card": self.payment_card_replacement,
        }
        return {kind: (v,) if isinstance(v, str) else v for kind, v in given.items()}

    def edits_text(self) -> bool:
        return True

    def adds(self) -> dict[str, pa.DataType]:
        return {NAMES[kind]: pa.int64() for kind in self.kinds()} if self.mode == "tag" else {}

    def filter(self, docs: Docs) -> FilterResult:
        kinds = self.kinds()
        found = kernels.pii.find(docs.text, kinds, public_ips_only=self.only_remove_public_ips)
        counts = {NAMES[kind]: found.counts(kernels.pii.KINDS.index(kind)) for kind in kinds}
        keep = np.ones(len(docs), dtype=np.bool_)
        if self.mode == "tag":
            return FilterResult(keep, signals=counts, columns=counts)
        if not len(found.starts):
            return FilterResult(keep, signals=counts)
        return FilterResult(keep, signals=counts, text=found.replaced(self.replacements()))
