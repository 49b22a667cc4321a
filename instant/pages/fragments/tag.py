"""
The tag: ``{% live "orders/_status.html" order %}``, or ``{% live order %}…{% endlive %}``.

A block is found again by the name of its template and a digest of its source, since a reference
is signed and has no source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.db import models
from django.template import Context, Node, NodeList, TemplateSyntaxError
from django.template.base import FilterExpression, Parser, Token, token_kwargs
from django.utils import translation
from django.utils.functional import LazyObject
from django.utils.safestring import SafeString

from instant.exceptions import InstantConfigError
from instant.pages import loading
from instant.pages.fragments import rendering
from instant.pages.fragments.element import element
from instant.pages.fragments.fragment import Fragment, channel_of, digest, plain

__all__ = ["LiveNode", "parse"]

_OPTIONS = {"channel", "events", "public"}
_VARIABLE = re.compile(r"(?:\w+\.)*([^\W\d]\w*)")
_USAGE = (
    'It is {% live "template.html" object %}, or {% live object %}…{% endlive %}; behind the '
    "object “as name”, channel=…, events=…, public=True and values for the template."
)


def parse(parser: Parser, token: Token) -> LiveNode:
    """Compile {% live %}."""
    if any(block == "cache" for block, _token in parser.command_stack):
        raise TemplateSyntaxError(
            "{% live %} can't stand in {% cache %}: its position would be old, and its reference "
            "end. Put it behind {% endcache %}."
        )
    bits = token.split_contents()[1:]
    given = list(_taken(bits))
    if not 1 <= len(given) <= 2:  # noqa: PLR2004  a template and an object
        raise TemplateSyntaxError(f"{{% {token.contents} %}}: what is shown? {_USAGE}")
    name = _name(bits, given[-1], token)
    options = token_kwargs(bits, parser)
    if bits:
        raise TemplateSyntaxError(f"{{% {token.contents} %}}: {bits[0]!r}? {_USAGE}")
    *template, instance = [parser.compile_filter(one) for one in given]
    node = LiveNode(template[0] if template else None, instance, name, options)
    if not template:
        node.nodelist, node.digest = _block(parser, token)
    return node


def _taken(bits: list[str]) -> Iterator[str]:
    """Take what comes before “as” and the options."""
    while bits and bits[0] != "as" and not re.match(r"\w+=", bits[0]):
        yield bits.pop(0)


def _name(bits: list[str], instance: str, token: Token) -> str:
    if bits[:1] == ["as"]:
        del bits[0]
        if not bits or not bits[0].isidentifier():
            raise TemplateSyntaxError(f"{{% {token.contents} %}}: as what? {_USAGE}")
        return bits.pop(0)
    found = _VARIABLE.fullmatch(instance)
    if found is None:
        raise TemplateSyntaxError(
            f"{{% {token.contents} %}}: say what the object is called, {{% live … as order %}}."
        )
    return found[1]


def _block(parser: Parser, token: Token) -> tuple[NodeList, str]:
    # What is to be parsed lies in the reverse order.
    before = [one for one in parser.tokens if isinstance(one, Token)]
    nodelist = parser.parse(("endlive",))
    source = reversed(before[len(parser.tokens) :])
    parser.delete_first_token()
    tokens: list[Token] = [token, *source]
    texts = [f"{one.token_type.value}:{one.contents}" for one in tokens]
    return nodelist, digest("\x00".join(texts))


class LiveNode(Node):
    """Shows an object, and shows it again in open pages when it changes."""

    def __init__(
        self,
        template: FilterExpression | None,
        instance: FilterExpression,
        name: str,
        options: Mapping[str, FilterExpression],
    ) -> None:
        self._template, self._instance, self._name = template, instance, name
        self._options = options
        self.nodelist = NodeList()
        self.digest = ""
        self._is_found = False

    @property
    def is_live_block(self) -> bool:
        """Whether it has its HTML between itself and {% endlive %}."""
        return self._template is None

    def render(self, context: Context) -> SafeString:
        """Return the element with the HTML; in an email, without a request, the HTML alone."""
        options = {name: value.resolve(context) for name, value in self._options.items()}
        values = plain({name: one for name, one in options.items() if name not in _OPTIONS})
        instance = self._object(context)
        request = loading.request_of(context)
        if request is None:
            return self._alone(context, {self._name: instance, **values})
        fragment = self._fragment(context, instance, options, values)
        script = loading.script(context)  # not inside of it, where another may be
        return script + element(request, fragment, instance)

    def _object(self, context: Context) -> models.Model:
        found = self._instance.resolve(context)
        is_saved = isinstance(found, models.Model) and found.pk is not None
        if isinstance(found, LazyObject):  # as request.user is
            found = found.__dict__["_wrapped"]
        if isinstance(found, models.QuerySet):
            raise ValueError(  # noqa: TRY004  as for what is no object
                f"{{% live … {self._instance.token} … %}} shows one object, and this is a "
                "queryset: {% livelist %} shows those."
            )
        if not is_saved:
            raise ValueError(
                f"{{% live … {self._instance.token} … %}}: {found!r} is no object that is saved. "
                "Does the template's context have it?"
            )
        instance: models.Model = found
        return instance

    def _fragment(
        self,
        context: Context,
        instance: models.Model,
        options: Mapping[str, Any],
        values: Mapping[str, Any],
    ) -> Fragment:
        meta: Any = instance._meta  # noqa: SLF001
        named = options.get("channel") or ""
        return Fragment(
            template=self._template_name(context),
            block=self.digest,
            model=meta.label_lower,
            pk=meta.pk.value_to_string(instance),
            name=self._name,
            values=values,
            channel=str(named or channel_of(instance) or ""),
            own_channel=bool(named),
            events=" ".join(re.split(r"[\s,]+", str(options.get("events") or "").strip())),
            language=translation.get_language() or "",
            zone=rendering.zone(),
            public=bool(options.get("public")),
        )

    def _template_name(self, context: Context) -> str:
        if self._template is not None:
            return str(self._template.resolve(context))
        name = getattr(self.origin, "template_name", None)
        where = f"{{% live {self._instance.token} %}}"
        if not isinstance(name, str):
            raise InstantConfigError(
                f"{where} stands in a template without a name, in which nobody finds it again. Put "
                "what it shows into a file of its own: "
                f'{{% live "file.html" {self._instance.token} %}}.'
            )
        if not self._is_found:
            block, _template = rendering.find_block(name, self.digest)
            if block is None:
                raise InstantConfigError(
                    f"{where} in {name} stands in a tag that hides it. Put what it shows into a "
                    f'file of its own: {{% live "file.html" {self._instance.token} %}}.'
                )
            self._is_found = True
        return name

    def _alone(self, context: Context, values: dict[str, Any]) -> SafeString:
        if self._template is not None:
            return rendering.render_template(str(self._template.resolve(context)), values, None)
        template = context.template
        assert template is not None  # noqa: S101  it is being rendered
        return rendering.render_block(self, template, values, None)
