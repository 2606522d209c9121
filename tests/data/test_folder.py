"""Images from a person's disk: every kind of file that people have, broken ones too."""

import io
import struct

import numpy as np
import pytest
from absl import logging
from PIL import Image

from gan.data import decode, folder
from gan.data.source import DataError

RNG = np.random.default_rng(0)


def write(path, pixels, **kwargs):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path, **kwargs)


def noise(height=8, width=8, channels=3):
  return RNG.integers(0, 256, (height, width, channels), np.uint8)


@pytest.fixture
def said(monkeypatch):
  """All warnings, as they are printed."""
  lines = []
  monkeypatch.setattr(logging, 'warning', lambda message, *args: lines.append(message % args))
  return lines


def test_lossless_files_come_back_bit_for_bit_in_sorted_order(tmp_path):
  pixels = {name: noise() for name in ('b/x.PNG', 'a.png', 'b/c/y.webp')}
  for name, image in pixels.items():
    write(tmp_path / name, image, **({'lossless': True} if name.endswith('webp') else {}))
  source = folder.load(str(tmp_path), 8, 'train')
  images, labels = source.read(range(3)).values()
  np.testing.assert_array_equal(images, [pixels['a.png'], pixels['b/c/y.webp'], pixels['b/x.PNG']])
  assert (source.shape, source.class_names, list(labels)) == ((8, 8, 3), (), [0, 0, 0])


def test_subfolders_are_classes(tmp_path):
  for name in ('dog/1.jpg', 'cat/2.JPEG', 'cat/deep/3.jpg'):
    write(tmp_path / name, noise())
  source = folder.load(str(tmp_path), 16, 'train')
  assert source.class_names == ('cat', 'dog')
  np.testing.assert_array_equal(source.read(range(3))['labels'], [0, 0, 1])
  assert source.shape == (16, 16, 3)


def test_one_channel_only_where_every_file_is_grey(tmp_path):
  grey = noise()[..., 0]
  write(tmp_path / '1.png', grey)
  write(tmp_path / '2.png', grey)
  source = folder.load(str(tmp_path), 8, 'train')
  assert source.shape == (8, 8, 1)
  np.testing.assert_array_equal(source.read([0])['images'][0, ..., 0], grey)
  write(tmp_path / '3.png', noise())
  source = folder.load(str(tmp_path), 8, 'train')
  np.testing.assert_array_equal(source.read([0])['images'][0], np.repeat(grey[..., None], 3, -1))


def test_odd_modes_become_the_colours_they_show(tmp_path):
  """Each file shows one colour; expected values by hand."""
  files = {
      'a_half_black.png': (Image.new('RGBA', (4, 4), (0, 0, 0, 51)), {}, (204, 204, 204)),
      'b_clear_red.png': (Image.new('RGBA', (4, 4), (255, 0, 0, 0)), {}, (255, 255, 255)),
      'c_palette.png': (Image.new('RGB', (4, 4), (10, 200, 30)).convert('P', palette=Image.Palette.ADAPTIVE), {},
                        (10, 200, 30)),
      'd_deep.png': (Image.fromarray(np.full((4, 4), 100 * 257, np.uint16)), {}, (100, 100, 100)),
      'e_cmyk.jpg': (Image.new('CMYK', (4, 4), (255, 0, 0, 0)), {'quality': 100}, (0, 255, 255)),
      'f_bits.png': (Image.new('1', (4, 4), 1), {}, (255, 255, 255)),
      'g_grey_alpha.png': (Image.new('LA', (4, 4), (0, 51)), {}, (204, 204, 204)),
      'h_key.png': (Image.new('L', (4, 4), 7), {'transparency': 7}, (255, 255, 255)),
  }
  for name, (image, options, _) in files.items():
    image.save(tmp_path / name, **options)
  images = folder.load(str(tmp_path), 4, 'train').read(range(len(files)))['images']
  for pixels, (name, (_, _, colour)) in zip(images, files.items(), strict=True):
    np.testing.assert_allclose(pixels.reshape(-1, 3), np.tile(colour, (16, 1)), atol=2, err_msg=name)


def test_deep_greyscale_alone_stays_one_channel(tmp_path):
  for i in range(2):
    write(tmp_path / f'{i}.png', np.arange(16, dtype=np.uint16).reshape(4, 4) * 257)
  source = folder.load(str(tmp_path), 4, 'train')
  np.testing.assert_array_equal(source.records[0][0][..., 0], np.arange(16).reshape(4, 4))


def test_exif_orientation_turns_the_image(tmp_path):
  pixels = np.zeros((32, 32, 3), np.uint8)
  pixels[:16] = 255   # White half on top as stored.
  exif = Image.Exif()
  exif[0x0112] = 6    # To be shown turned clockwise: white on the right.
  for i in range(2):
    write(tmp_path / f'{i}.jpg', pixels, exif=exif, quality=95)
  image = folder.load(str(tmp_path), 32, 'train').records[0][0]
  assert image[:, 18:].min() > 230
  assert image[:, :14].max() < 25


def exif_data(*entries):
  """Exif data with entries (tag, type, text or number) that no library would write."""
  table, texts = b'', b''
  start = 8 + 2 + 12 * len(entries) + 4
  for tag, kind, value in entries:
    text = value.encode() + b'\0' if isinstance(value, str) else b''
    place = struct.pack('<I', start + len(texts)) if len(text) > 4 else text.ljust(4, b'\0')
    table += struct.pack('<HHI', tag, kind, len(text) or 1) + (place if text else struct.pack('<I', value))
    texts += text if len(text) > 4 else b''
  return b'Exif\0\0II*\0' + struct.pack('<IH', 8, len(entries)) + table + struct.pack('<I', 0) + texts


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp'])
@pytest.mark.parametrize(('exif', 'turned'), [
    (exif_data((0x0112, 3, 6), (0x011A, 2, 'seventy-two')), True),   # XResolution as text.
    (exif_data((0x0112, 2, 'upright')), False),
    (exif_data((0x0112, 3, 9)), False),
    (b'Exif\0\0not Exif data', False),
    (b'Exif\0\0II*\0\xff\xff\xff\xff', False)])
def test_damaged_exif_data_cost_no_image(tmp_path, said, suffix, exif, turned):
  pixels = np.zeros((32, 32, 3), np.uint8)
  pixels[:16] = 255
  for i in range(2):
    write(tmp_path / f'{i}.{suffix}', pixels, exif=exif, quality=95)
  image = folder.load(str(tmp_path), 32, 'train').records[0][0].astype(int)
  white = image[:, 18:] if turned else image[:14]
  assert white.min() > 225
  assert not said


def test_native_size_needs_equal_sizes_as_shown(tmp_path):
  exif = Image.Exif()
  exif[0x0112] = 6
  write(tmp_path / '1.png', noise(8, 6))
  write(tmp_path / '2.jpg', noise(6, 8), exif=exif)
  source = folder.load(str(tmp_path), 0, 'train')
  assert source.shape == source.read([1])['images'].shape[1:] == (8, 6, 3)
  write(tmp_path / '3.png', noise(9, 6))
  with pytest.raises(DataError, match=r'image_size=0.*differ in size'):
    folder.load(str(tmp_path), 0, 'train')


def test_broken_files_are_named_and_skipped(tmp_path, said):
  for i in range(2):
    write(tmp_path / f'good{i}.png', noise())
  for suffix in ('png', 'jpeg', 'webp'):
    encoded = io.BytesIO()
    Image.fromarray(noise(64, 64)).save(encoded, suffix)
    (tmp_path / f'cut.{suffix}').write_bytes(encoded.getvalue()[:len(encoded.getvalue()) // 2])
  (tmp_path / 'empty.png').touch()
  (tmp_path / 'text.jpg').write_text('not an image')
  (tmp_path / '._good0.png').write_bytes(b'left by another system')
  assert folder.load(str(tmp_path), 8, 'train').num_examples == 2
  assert sorted(line.split()[1].rsplit('/')[-1] for line in said) == [
      'cut.jpeg:', 'cut.png:', 'cut.webp:', 'empty.png:', 'text.jpg:']
  assert 'text.jpg: its contents are none of PNG, JPEG' in ''.join(said)


def test_errors_say_what_to_do(tmp_path):
  with pytest.raises(DataError, match='does not exist'):
    folder.load(str(tmp_path / 'nowhere'), 8, 'train')
  with pytest.raises(DataError, match=r'no images.*\.png'):
    folder.load(str(tmp_path), 8, 'train')
  write(tmp_path / 'one.png', noise())
  with pytest.raises(DataError, match=r'1 usable image\(s\) of 1; a GAN needs 2 or more: add images$'):
    folder.load(str(tmp_path), 8, 'train')
  (tmp_path / 'two.png').touch()
  with pytest.raises(DataError, match=r'1 usable image\(s\) of 2.*two\.png'):
    folder.load(str(tmp_path), 8, 'train')
  with pytest.raises(DataError, match='is not a folder'):
    folder.load(str(tmp_path / 'one.png'), 8, 'train')
  with pytest.raises(DataError, match=r"'test'.*only the split 'train'"):
    folder.load(str(tmp_path), 8, 'test')


def pets(root):
  """Three cats and three dogs."""
  for name in ('cats', 'dogs'):
    for i in range(3):
      write(root / name / f'{i}.png', noise())


def classes_of(source):
  """Class name -> number of its images."""
  return dict(zip(source.class_names, np.bincount(source.read(range(source.num_examples))['labels']), strict=True))


def test_a_link_to_a_folder_above_it_changes_nothing(tmp_path, said):
  """Followed without end, one such link made 246 images of six, and two made loading endless."""
  pets(tmp_path)
  (tmp_path / 'dogs' / 'all').symlink_to('..')
  (tmp_path / 'cats' / 'too').symlink_to(tmp_path)
  (tmp_path / 'self').symlink_to('self')
  assert classes_of(folder.load(str(tmp_path), 8, 'train')) == {'cats': 3, 'dogs': 3}
  (warning,) = said
  assert 'read under another name: cats/too -> ., dogs/all -> .' in warning
  assert 'self (a link that leads nowhere)' in warning


def test_a_link_to_a_class_is_no_class(tmp_path, said):
  pets(tmp_path)
  (tmp_path / 'a_latest').symlink_to('cats')   # Before its target in the order of names, and no class all the same.
  for i in range(3):
    write(tmp_path / 'own' / f'{i}.png', noise())
    (tmp_path / 'z_copies').mkdir(exist_ok=True)
    (tmp_path / 'z_copies' / f'{i}.png').symlink_to(f'../dogs/{i}.png')
  assert classes_of(folder.load(str(tmp_path), 8, 'train')) == {'cats': 3, 'dogs': 3, 'own': 3}
  (warning,) = said
  assert 'read under another name: a_latest -> cats' in warning
  assert 'not a class: z_copies (its images are links to those of dogs)' in warning


def test_links_to_other_disks_are_followed(tmp_path, said):
  pets(tmp_path / 'disk')
  root = tmp_path / 'root'
  write(root / 'fish' / '0.png', noise())
  (root / 'kittens').symlink_to(tmp_path / 'disk' / 'cats')
  (root / 'fish' / '1.png').symlink_to(tmp_path / 'disk' / 'dogs' / '1.png')
  (root / 'fish' / '2.png').symlink_to(tmp_path / 'disk' / 'gone.png')
  (tmp_path / 'name').symlink_to(root)
  assert classes_of(folder.load(str(tmp_path / 'name'), 8, 'train')) == {'fish': 2, 'kittens': 3}
  (warning,) = said
  assert 'not read: fish/2.png (a link that leads nowhere)' in warning


def test_every_kind_of_image_that_pillow_reads_safely_is_data(tmp_path, said):
  """Of classes of png, bmp, tif, jfif and gif images only the first was there, without a word."""
  kinds = [suffix.removeprefix('.') for suffix in decode.SUFFIXES]
  assert {'png', 'bmp', 'tif', 'tiff', 'jfif', 'gif', 'webp', 'pgm'} <= set(kinds)
  for kind in kinds:
    encoded = io.BytesIO()
    formats = {'apng': 'png', 'tif': 'tiff', **dict.fromkeys(('jpg', 'jpe', 'jfif'), 'jpeg'),
               **dict.fromkeys(('pgm', 'pbm', 'pnm'), 'ppm')}
    Image.new('RGB', (8, 8), 'red').save(encoded, formats.get(kind, kind))
    (tmp_path / kind).mkdir()
    (tmp_path / kind / f'x.{kind.upper()}').write_bytes(encoded.getvalue())
  source = folder.load(str(tmp_path), 8, 'train')
  assert classes_of(source) == dict.fromkeys(kinds, 1)
  np.testing.assert_allclose(source.read(range(len(kinds)))['images'],
                             np.full((len(kinds), 8, 8, 3), (255, 0, 0)), atol=4)
  assert said == []


def test_the_rest_is_counted_and_classes_that_are_missing_are_named(tmp_path, said):
  pets(tmp_path)
  for i in range(10):
    (tmp_path / 'cats' / f'{i}.HEIC').touch()
  for name in ('dogs/film.mp4', 'dogs/film2.mp4', 'README', 'birds/0.heic', 'fish/note.txt'):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
  (tmp_path / 'mice').mkdir()
  (tmp_path / 'mice' / 'cut.png').write_bytes(b'nothing')
  assert classes_of(folder.load(str(tmp_path), 8, 'train')) == {'cats': 3, 'dogs': 3}
  skipped, warning = said
  assert 'cut.png' in skipped
  assert 'cannot be read as images: 11 .heic, 2 .mp4, 1 without a suffix, 1 .txt (convert pictures to PNG)' in warning
  missing = ', '.join(f'{name} (no image can be read)' for name in ('birds', 'fish', 'mice'))
  assert f'folders that are not a class: {missing}' in warning


def test_a_folder_of_other_files_says_what_it_holds(tmp_path):
  for i in range(3):
    (tmp_path / f'{i}.heic').touch()
  with pytest.raises(DataError, match=r'no images: .*; files that cannot be read as images: 3 \.heic \(convert'):
    folder.load(str(tmp_path), 8, 'train')


def test_what_systems_leave_behind_is_no_data(tmp_path, said):
  """Thumbnails and copies would be taken as data, or even as classes."""
  pets(tmp_path)
  for junk in ('@eaDir', '__MACOSX', '.ipynb_checkpoints', '#recycle', '$RECYCLE.BIN', 'lost+found', '.git',
               'System Volume Information'):
    for place in (junk, f'cats/{junk}', f'{junk}/0.png'):
      write(tmp_path / place / 'thumb.png', noise())
  for junk in ('Thumbs.db', 'desktop.ini', '.DS_Store', '._0.png'):
    (tmp_path / 'dogs' / junk).write_bytes(b'junk')
  assert classes_of(folder.load(str(tmp_path), 8, 'train')) == {'cats': 3, 'dogs': 3}
  assert said == []


def tiff(pixels, tags=None, **changes):
  """A TIFF file with more tags; then some are changed, as Pillow does not write these kinds."""
  encoded = io.BytesIO()
  Image.fromarray(pixels).save(encoded, 'TIFF', tiffinfo=tags or {})
  data = encoded.getvalue()
  for name, (before, after) in changes.items():
    tag = {'bits': 258, 'photometric': 262}[name]
    old, new = (struct.pack('<HHIHH', tag, 3, 1, value, 0) for value in (before, after))
    assert data.count(old) == 1
    data = data.replace(old, new)
  return data


def test_what_would_turn_black_is_refused(tmp_path, said):
  """Floats in [0, 1] and 32-bit integers up to 255 became black squares; others negatives, or stripes."""
  pets(tmp_path)
  grey = RNG.integers(0, 2**16, (8, 8), np.uint16)
  files = {
      'float.tif': tiff(RNG.random((8, 8), np.float32)), 'int32.tif': tiff(noise()[..., 0].astype(np.int32)),
      'signed16.tif': tiff(grey, {339: 2}), 'signed8.tif': tiff(noise()[..., 0], {339: 2}),
      'negative.tif': tiff(grey, photometric=(1, 0)), 'twelve.tif': tiff(grey, bits=(16, 12)),
      'float.pgm': b'Pf\n8 8\n-1.0\n' + RNG.random((8, 8), np.float32).tobytes(),
      'sound.tif': tiff(grey), 'sound.pgm': b'P5\n8 8\n1023\n' + (grey // 64).astype('>u2').tobytes()}
  for name, data in files.items():
    (tmp_path / 'cats' / name).write_bytes(data)
  source = folder.load(str(tmp_path), 8, 'train')
  assert classes_of(source) == {'cats': 5, 'dogs': 3}
  assert sorted(line.partition(':')[0].rpartition('/')[2] for line in said) == [
      'float.pgm', 'float.tif', 'int32.tif', 'negative.tif', 'signed16.tif', 'signed8.tif', 'twelve.tif']
  assert all('save' in line and 'with 8 bits' in line for line in said)
  want = np.rint(grey / 257)
  np.testing.assert_allclose(source.read([3, 4])['images'][..., 0], [want, want], atol=1)   # The PGM has 10 bits.


def test_16_bit_files_of_few_bits_are_told(tmp_path, said):
  """A microscope's 12 bits in a file of 16: 4095 is 16 of 255."""
  for i in range(2):
    write(tmp_path / f'{i}.png', np.full((8, 8), 4095, np.uint16))
  folder.load(str(tmp_path), 8, 'train')
  (warning,) = said
  assert '2 images have 16 bits of grey and are almost black' in warning
  assert 'exceeds 16 of 255' in warning
  write(tmp_path / '2.png', np.full((8, 8), 65535, np.uint16))
  folder.load(str(tmp_path), 8, 'train')
  assert len(said) == 1


def test_several_images_in_a_file_give_the_first(tmp_path):
  red, blue = Image.new('RGB', (8, 8), 'red'), Image.new('RGB', (8, 8), 'blue')
  for kind, options in (('gif', {}), ('webp', {'lossless': True}), ('tiff', {})):
    red.save(tmp_path / f'x.{kind}', save_all=True, append_images=[blue], **options)
  images = folder.load(str(tmp_path), 8, 'train').read(range(3))['images']
  np.testing.assert_array_equal(images, np.full((3, 8, 8, 3), (255, 0, 0)))


def test_a_tiff_that_lies_on_its_side_has_the_size_that_it_shows(tmp_path):
  for i in range(2):
    Image.fromarray(noise(8, 6)).save(tmp_path / f'{i}.tif', tiffinfo={0x0112: 6})
  source = folder.load(str(tmp_path), 0, 'train')
  assert source.shape == source.read([0])['images'].shape[1:] == (6, 8, 3)


def test_no_other_program_is_run(tmp_path, said):
  """A file of another kind may bear any suffix; Pillow would hand an EPS to Ghostscript."""
  pets(tmp_path)
  Image.fromarray(noise()).save(tmp_path / 'x.eps')
  (tmp_path / 'x.eps').rename(tmp_path / 'cats' / 'x.png')
  assert folder.load(str(tmp_path), 8, 'train').num_examples == 6
  assert 'x.png: its contents are none of' in said[0]


def test_an_image_of_absurd_size_is_refused(tmp_path, said, monkeypatch):
  """Pillow's protection from files that fill the memory stays on."""
  pets(tmp_path)
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
  write(tmp_path / 'cats' / 'bomb.png', noise(50, 50))
  assert folder.load(str(tmp_path), 8, 'train').num_examples == 6
  assert 'DecompressionBombError' in said[0]
