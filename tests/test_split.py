"""How many samples each part of the data gets."""

import pytest

from fcclf.data.split import check
from fcclf.errors import ConfigError
from fcclf.settings.config import Config, Moons, Training


def test_a_test_part_without_samples_is_refused():
    with pytest.raises(ConfigError, match=r"test_ratio is 0\.2, which leaves no test sample out of 4"):
        check(Config(data=Moons(samples=4), training=Training(batch_size=1)))


def test_a_validation_part_without_samples_is_refused():
    with pytest.raises(ConfigError, match=r"validation_fraction is 0\.01, which leaves no validation sample out of 80"):
        check(Config(Moons(samples=100), training=Training(early_stopping=True, validation_fraction=0.01)))
