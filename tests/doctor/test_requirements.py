import pytest

from mapllava.doctor.requirements import python_versions, runtime_requirements, satisfies


@pytest.mark.parametrize(
    ("version", "versions", "holds"),
    [
        ("2.13.0+cu130", ">=2.6", True),
        ("2.5.1", ">=2.6", False),
        ("2.6", ">=2.6.0", True),
        ("1.26.4", ">=1.26,<2", True),
        ("2.0.0", ">=1.26,<2", False),
        ("0.10.7", "==0.10.7", True),
        ("0.10.10", "==0.10.7", False),
        ("3.13.0", ">=3.11,<3.13", False),
        ("5.23.0.dev0", ">=5.17,<6", True),
        ("anything", "", True),
    ],
)
def test_versions_compare_number_by_number(version, versions, holds):
    assert satisfies(version, versions) is holds


def test_what_is_needed_comes_from_the_requirements_file():
    needed = {each.name: each.versions for each in runtime_requirements()}
    assert needed["mmengine"] == "==0.10.7"
    assert needed["numpy"] == ">=1.26,<2"
    assert needed["torch"].startswith(">=")
    assert python_versions() == ">=3.11,<3.13"
