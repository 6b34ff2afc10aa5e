"""The list of planted faults is current; replaying it is `make faults`."""

import pytest

from tests.faults import ROOT, Fault, faults, shuffled


@pytest.mark.parametrize("fault", faults(), ids=lambda f: f"{f.file}:{f.old[:30]}")
def test_a_planted_fault_fits_the_code_and_names_a_test(fault: Fault):
    assert (ROOT / fault.file).read_text().count(fault.old) == 1
    assert fault.old != fault.new
    file, _, name = fault.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text()


def test_every_fault_comes_early_after_some_commit():
    found = faults()
    orders = [shuffled(found, salt) for salt in map(str, range(60))]
    assert all(sorted(map(repr, order)) == sorted(map(repr, found)) for order in orders[:3])
    early = {fault for order in orders for fault in order[: len(found) // 4]}
    assert early == set(found)


def test_there_are_at_least_twenty_faults_for_lab_and_toy():
    assert len([f for f in faults() if f.file.startswith(("lab/", "toy/"))]) >= 20
