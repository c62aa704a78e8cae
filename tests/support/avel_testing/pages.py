"""A page of the report, taken apart."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects the tags, the addresses, the clips of the list, the script and the visible words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.addresses, self.handlers, self.words, self.open = [], [], [], [], []
        self.rows, self.images, self.script, self.policy = [], [], "", ""
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "link", "br", "input"):
            self.open.append(tag)
        attributes = dict(attrs)
        if "data-id" in attributes:
            self.rows.append(attributes)
        if tag == "img":
            self.images.append((attributes.get("class"), attributes["src"]))
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "srcset", "poster", "xlink:href"):
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.script += data
        elif "style" not in self.open:
            self.words.append(data)
