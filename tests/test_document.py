"""The generated page, and the whole configuration of a run with the meaning of each field."""

from gan.complete import declared
from gan.document import document
from tests.test_config import ROOT

EVERY = declared().every
PARTS = declared().parts


def test_the_page_is_what_would_be_generated():
  written = (ROOT / 'docs' / 'configuration.md').read_text()
  assert written == document(), 'the declarations have changed; run `make docs`'


def test_every_setting_and_every_choice_with_settings_is_on_the_page():
  page = document()
  for field in EVERY:
    names = field.split('.')
    assert f'`{field}`' in page or f'`{".".join([names[0], "*", *names[2:]])}`' in page
  for part in PARTS:
    assert not part.fields or part.value is None or f'`{part.value}`' in page
