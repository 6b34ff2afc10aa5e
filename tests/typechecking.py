"""The type checker of the tests: beartype, with whole numbers allowed where a float is asked for, as Python itself and pyright do."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
