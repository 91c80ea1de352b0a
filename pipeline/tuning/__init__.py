"""``winnow measure`` and ``winnow tune``: thresholds tried on stored signals instead of on texts.

``measure_run`` stores the signals of every row step, by the step in ``signals``, as a run of its
own; ``measurements`` reads them back; ``effects`` compares them with thresholds. The other files
are its output: ``effect_tables``, ``signal_charts``, ``tuning_page``, ``tuning_output``.
"""
