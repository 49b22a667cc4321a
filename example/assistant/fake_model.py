"""
Stands for a language model: it thinks, then says one word after the other.

What it says comes from the catalogue, and from a few lines that it knows by heart.
"""

import re
import time

from django.conf import settings
from django.db.models import Q

from catalogue.models import Product

_LINES = (
    (
        r"\b(deliver|ship|arrive|order)",
        (
            "An order that is placed by noon is packed on the same day, and it is with you two "
            "days later. Its page shows each step as it happens, so there is no need to reload it."
        ),
    ),
    (
        r"\b(return|refund|wrong)",
        (
            "Send back what does not fit within thirty days, in any box. Unopened bags are "
            "refunded in full. For opened ones you get a voucher, because we have to count them "
            "again."
        ),
    ),
    (
        r"\b(wood|plank|timber)",
        (
            "In wood, take a screw that is about two and a half times as long as the board is "
            "thick, and drill a hole as wide as the screw's core. Near an edge that keeps the "
            "wood from splitting."
        ),
    ),
    (
        r"\b(rust|outdoor|outside|garden|wet)",
        (
            "Outside, take stainless steel: A2 is enough for the garden, A4 for the coast and for "
            "the pool. Zinc only delays the rust, and in oak it leaves black stains."
        ),
    ),
)
_OTHERWISE = (
    "That is a good question for the counter: sam knows more than I do. I can say what we have "
    "in stock, how long an order takes, and which screw goes into which wood."
)
_SIZE = re.compile(r"\bM\d+(?:x\d+)?\b", re.IGNORECASE)


def tokens(question):
    """Yield the answer, word by word, with the pauses of a machine that thinks."""
    time.sleep(8 * settings.ASSISTANT_SECONDS)
    for word in re.findall(r"\S+\s*", _answer(question)):
        time.sleep(settings.ASSISTANT_SECONDS)
        yield word


def _answer(question):
    said = [line for pattern, line in _LINES if re.search(pattern, question, re.IGNORECASE)]
    if found := _in_stock(question):
        said.insert(0, found)
    return "\n\n".join([*(said or [_OTHERWISE]), "Is there anything else?"])


def _in_stock(question):
    size = _SIZE.search(question)
    if size is None:
        return ""
    products = Product.objects.filter(Q(name__icontains=size[0]) | Q(sku__icontains=size[0]))
    lines = [
        f"{product.name}: {product.stock} in stock, {product.price} €" for product in products[:5]
    ]
    if not lines:
        return f"I find nothing in {size[0]}."
    return "\n".join([f"This is what we have in {size[0]}:", *(f"• {line}" for line in lines)])
