import pytest
from jinja2 import TemplateNotFound, UndefinedError

from pipeline.drawing.pages import load_template


@pytest.fixture
def template(tmp_path, monkeypatch):
    (tmp_path / "page_of_test/parts").mkdir(parents=True)
    (tmp_path / "page_of_test/__init__.py").touch()
    (tmp_path / "page_of_test/parts/page.html.j2").write_text('<a title="{{ name }}">{{ name | loud }}</a>')
    monkeypatch.syspath_prepend(tmp_path)
    return load_template("page_of_test", "parts", "page.html.j2", loud=str.upper)


def test_a_template_escapes_what_it_is_given(template):
    assert template.render(name='"<i>') == '<a title="&#34;&lt;i&gt;">&#34;&lt;I&gt;</a>'


def test_a_name_that_is_not_given_is_refused(template):
    with pytest.raises(UndefinedError, match="name"):
        template.render()


def test_a_template_that_is_not_there_is_an_error():
    with pytest.raises(TemplateNotFound):
        load_template("pipeline", "report", "none.html.j2")
