"""The header that every page carries: the lab's name and its pages."""

PAGES = (("/", "Explore"), ("/compare", "Compare"), ("/train", "Train"))


def header(here: str, before: str = "", after: str = "") -> str:
    """The header's HTML; `here` is the page's address. before, after: a page's own buttons, to the left of the name and at the right."""
    links = "".join(f'<a href="{address}"{" aria-current=page" if address == here else ""}>{name}</a>' for address, name in PAGES)
    return f'<header class="fl-header">{before}<strong>Flow Lab</strong><nav aria-label="Pages">{links}</nav>{after}</header>'
