"""What notebooks and pages may hold: `tools/passive.py` and `tools/policy.py`."""

import re
import sys
from base64 import b64encode

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from jepabook.claims import pages
from tools import book, notebooks, passive, policy

PNG = b64encode(b"\x89PNG\r\n\x1a\n rest").decode()
TABLE = '<div class="x">\n<table border="1"><tr><th scope="row">a &lt; b</th></tr></table>\n</div>'

PASSIVE_HTML = [
    TABLE,
    f'<img alt="a" src="data:image/png;base64,{PNG}" /><br><hr />',
    '<a href="https://doi.org/10.1/x" title="a > b">x</a> <a href="02-b.ipynb#c">y</a>',
    "a > b, 1 &amp; 2 &#60;script&#62; &lt;script&gt;",
    '<TABLE\n  BORDER="1"><tr><td colspan="2" >x</td></tr></TABLE>',
]
# that act, or load, in a browser: however they are spelled
ACTIVE_HTML = [
    "<script>alert(1)</script>",
    "<ScRiPt\n src='//x.org/a.js'></sCrIpT>",
    "<script/src=a.js>",
    "<scr\x00ipt>alert(1)</scr\x00ipt>",
    "</p><script>alert(1)",
    "<script",
    '<img src="a.png" onerror="alert(1)">',
    '<img src="a.png"onerror="alert(1)">',
    "<img src=x oNeRrOr=alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    '<img title="a" onerror = "alert(1)" src="x">',
    '<img src="x` `<script>alert(1)</script>"` `>',
    '<p title="&quot;>" onclick=alert(1)>',
    '<a href="javascript:alert(1)">x</a>',
    '<a href=" JaVaScRiPt:alert(1)">x</a>',
    '<a href="java&#10;script:alert(1)">x</a>',
    '<a href="java&Tab;script&colon;alert(1)">x</a>',
    '<a href="&#x6A;avascript:alert(1)">x</a>',
    '<a href="\x01javascript:alert(1)">x</a>',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<a href="vbscript:x">x</a>',
    '<img src="https://x.org/a.png">',
    '<img src="//x.org/a.png">',
    '<img src="\\\\x.org/a.png">',
    '<img src="/\\x.org/a.png">',
    '<img src="data:image/svg+xml;base64,PHN2Zz4=">',
    '<img srcset="https://x.org/a.png">',
    '<iframe srcdoc="&lt;script&gt;alert(1)&lt;/script&gt;"></iframe>',
    "<object data=a.swf></object>",
    "<embed src=a.swf>",
    "<form action=https://x.org><input name=a></form>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<base href=https://x.org/>",
    '<meta http-equiv="refresh" content="0; url=https://x.org">',
    "<link rel=stylesheet href=http://x.org/a.css>",
    "<style>@import 'http://x.org/a.css'</style>",
    '<p style="background: url(http://x.org/a.png)">x</p>',
    "<svg><script>alert(1)</script></svg>",
    "<svg onload=alert(1)>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<svg><animate attributeName=href values=javascript:alert(1) /></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<math><a xlink:href=javascript:alert(1)>x</a></math>",
    "<video><source onerror=alert(1)></video>",
    "<audio src=https://x.org/a.mp3 autoplay>",
    "<details open ontoggle=alert(1)>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<!-- x --!><img src=x onerror=alert(1)> -->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?xml x?><script>alert(1)</script>",
    "<xmp><p title='</xmp><img src=x onerror=alert(1)>'></xmp>",
    "<textarea><p title='</textarea><img src=x onerror=alert(1)>'></textarea>",
    '<a id="Scorer">x</a>',
    '<img name="body" src="a.png">',
    '<p is="x-y">x</p>',
    "<x-y>x</x-y>",
]


@pytest.mark.parametrize("text", PASSIVE_HTML)
def test_tables_links_and_pictures_are_taken(text):
    assert passive.html(text) == passive.markdown(f"\n{text}\n") == []


@pytest.mark.parametrize("text", ACTIVE_HTML)
def test_html_that_acts_or_loads_is_found_in_outputs_and_in_markdown(text):
    assert passive.html(text)
    assert passive.html(f"{TABLE}<p>{text}")
    # a blank line begins a block, where Markdown leaves HTML as it is
    assert passive.markdown(f"# Title\n\n<div>\n{text}\n</div>\n\nEnd.")


@pytest.mark.parametrize(
    "text",
    [
        "a <b>bold</b> `<script>` $a<b$ and {math}`x<y`, [x](https://x.org) ![y](attachment:a.png)",
        "```html\n<script>alert(1)</script>\n```\n\n    <script>\n",
        ":::{admonition} Title\n:class: x\n\nText, $$\nx\n$$\n:::\n",
        "```{raw} html\n:file: ../book/ledger/panel.html\n```",
        "(name)=\n| a | b |\n|--:|---|\n| 1 | $|x|$ |\n\n% a remark\n",
        "```{code-block} html\n<script></script>\n```",
        r"$\hrefs \styles \database$",
    ],
)
def test_markdown_that_only_shows_is_taken(text):
    assert passive.markdown(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "text <img src=x onerror=alert(1)> text",
        "$`$ <img src=x onerror=alert(1)> $`$",
        "$$\n`\n$$\n<img src=x onerror=alert(1)>\n`",
        ":::{admonition} Title\n::::{note}\n<script>alert(1)</script>\n::::\n:::",
        "```{admonition} <script>alert(1)</script>\n```",
        "```{raw} html\n<b>x</b>\n```",
        "```{raw} html\n:url: https://x.org/a.html\n```",
        "```{raw} html\n:file: ../../secret.html\n```",
        "```{raw} html\n:file: ../book/../a.html\n```",
        "````{note}\n```{eval-rst}\n.. raw:: html\n\n   <script>alert(1)</script>\n```\n````",
        "```{include} /etc/passwd\n```",
        "```{image} https://x.org/a.png\n```",
        "```{figure} //x.org/a.png\nCaption\n```",
        "![x](https://x.org/a.png)",
        "![x][1]\n\n[1]: https://x.org/a.png",
        "[x](data:text/html,a){href=y}\n\n<a href='javascript:x'>y</a>",
        "[*x*](JavaScript&colon;alert)",
        "[x][1] <vbscript:x>\n\n[1]: vbscript:x",
        "---\nmyst:\n  html_meta:\n    refresh: x\n---\n",
        "{{ '<script>' }}",
        r"$\href{javascript:alert(1)}{x}$",
        "$$\n\\style{background: url(//x.org)}{x}\n$$",
        "```{math}\n\\require{html}\n```",
        r"{math}`\class{a}{x}`",
        "\\begin{align}\\cssId{a}{x}\\end{align}",
    ],
)
def test_markdown_that_acts_or_loads_is_found(text):
    assert passive.markdown(text)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"text/plain": "<script>", "image/png": PNG}, ""),
        ({"text/html": TABLE, "text/markdown": "*a*", "text/latex": "$x$"}, ""),
        ({pages.JSON: []}, ""),
        ({"text/html": "<script>"}, "<script>"),
        ({"text/markdown": "<b onclick=x>"}, "onclick"),
        ({"text/latex": r"$\href{x}{y}$"}, "href"),
        ({"image/png": b64encode(b"<svg onload=x>").decode()}, "image/png"),
        *(
            ({kind: "x"}, kind)
            for kind in (
                "application/javascript",
                "text/javascript",
                "image/svg+xml",
                "application/vnd.jupyter.widget-view+json",
                "application/vnd.plotly.v1+json",
                "application/pdf",
                "TEXT/HTML",
                "text/html; charset=utf-8",
                "text/x-new",
            )
        ),
    ],
)
def test_outputs_are_read_by_their_type_and_other_types_refused(data, found):
    output = new_output("display_data", data=data)
    told = passive.notebook(new_notebook(cells=[new_code_cell("x", outputs=[output])]))
    assert len(told) == bool(found) and (not told or (found in told[0] and "cell 0" in told[0]))


def test_every_place_of_a_notebook_is_looked_into():
    active = "<script>alert(1)</script>"
    caption = {"mystnb": {"figure": {"caption": active}}}
    attached = {"a.svg": {"image/svg+xml": active}}
    cells = [
        new_markdown_cell(active),
        new_markdown_cell("![](attachment:a.svg)", attachments=attached),
        new_raw_cell(active),
        new_code_cell("x", metadata=caption),
        new_code_cell(f"# {active}", outputs=[new_output("stream", text=active)]),
    ]
    told = passive.notebook(new_notebook(cells=cells))
    assert {one.partition(" holds")[0] for one in told} == {f"cell {n}" for n in range(4)}
    assert passive.notebook(new_notebook(metadata={"widgets": {}}))


def test_neither_a_run_nor_a_site_takes_such_a_notebook(tmp_path, monkeypatch, capsys):
    code = "from IPython.display import HTML\nHTML('<script>alert(1)</script>')"
    path = tmp_path / "a.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(code)]), path)
    before = path.read_bytes()
    monkeypatch.setattr(sys, "argv", ["notebooks", str(path)])
    assert notebooks.main() == 1
    assert re.search(r"a\.ipynb: cell 0 .*<script>", capsys.readouterr().err)
    assert path.read_bytes() == before
    output = new_output("display_data", data={"text/html": "<iframe>"})
    nbformat.write(new_notebook(cells=[new_code_cell("x", outputs=[output])]), path)
    monkeypatch.setattr(book, "in_toc", lambda root: [path])
    monkeypatch.setattr(book, "fingerprint", lambda root: "")
    monkeypatch.setattr(book, "stage", lambda root, source: None)
    with pytest.raises(notebooks.NotebookFailed, match=r"a\.ipynb: cell 0 .*<iframe>"):
        book.make_site(tmp_path, execute=False, jobs=1)


PAGE = '<html><head><meta charset="utf-8"></head><body>{}</body></html>'


@pytest.mark.parametrize(
    "part",
    [
        '<script src="../_static/a.js?v=1" defer></script><link rel="stylesheet" href="a.css">',
        '<script type="application/json">{"a": 1}</script><img src="data:image/png;base64,AA==">',
        '<a href="https://x.org">x</a><a href="mailto:a@x.org">y</a><form action="../s.html">',
        '<meta http-equiv="Refresh" content="0; url=book/index.html" />',
    ],
)
def test_a_page_with_nothing_in_it_that_acts(part):
    assert policy.breaches(PAGE.format(part)) == []


@pytest.mark.parametrize(
    "part",
    [
        "<script>x</script>",
        "<SCRIPT type=module>x</SCRIPT>",
        '<script src="https://x.org/a.js"></script>',
        '<script src="//x.org/a.js"></script>',
        '<script src="data:text/javascript,x"></script>',
        "<p onclick=x>",
        '<a href="java\nscript:x">y</a>',
        "<p style='color: red'>",
        "<style>p {}</style>",
        "<iframe src=a.html></iframe>",
        "<base href=/>",
        "<link rel=stylesheet href=http://x.org/a.css>",
        "<link rel=preload href=http://x.org/a.css>",
        "<form action=http://x.org></form>",
        "<svg><image xlink:href='http://x.org/a.png'/></svg>",
        '<meta http-equiv="refresh" content="0; url=//x.org">',
        "<img src='http://x.org/a.png'>",
    ],
)
def test_a_page_that_breaks_the_policy_is_found(part):
    assert len(policy.breaches(PAGE.format(part))) == 1
