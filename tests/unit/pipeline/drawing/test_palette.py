from pipeline.drawing.palette import HUES, colours, contrast


def test_contrast_of_black_on_white_is_21():
    assert round(contrast("#000000", "#ffffff"), 6) == 21
    assert contrast("#777777", "#777777") == 1


def test_ink_can_be_read_on_every_fill():
    for colour in colours(tuple("abcdefghi")).values():
        assert contrast(colour.fill, colour.ink) >= 4.5


def test_neighbouring_categories_differ_and_none_is_as_grey_as_background():
    chosen = colours(tuple(f"category {n}" for n in range(2 * len(HUES))))
    fills = [colour.fill for name, colour in chosen.items() if name != "background"]
    assert all(len(set(fills[start : start + len(HUES)])) == len(HUES) for start in range(len(HUES)))
    assert chosen["background"].fill not in fills
