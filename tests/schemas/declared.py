"""What a project declares, with each kind of type."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Literal, NotRequired

from pydantic import BaseModel, Field
from rest_framework import serializers
from typing_extensions import TypedDict  # as pydantic asks for, before Python 3.12

from instant import Namespace, on_rpc


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Item(BaseModel):
    """A thing that was ordered."""

    name: str = Field(description="As the shop calls it.")
    count: int = 1
    size: Size | None = None


@dataclass
class Shipped:
    at: datetime
    items: list[Item]
    by: Literal["post", "bike"] = "post"


class Paid(TypedDict):
    amount: float
    note: NotRequired[str | None]


class GroupSerializer(serializers.Serializer):
    name = serializers.CharField()
    size = serializers.IntegerField(allow_null=True)
    tags = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(["on", "off"])
    secret = serializers.CharField(write_only=True)
    extra = serializers.SerializerMethodField()


def declare(**attributes):
    """Return a namespace with events, and declare two methods."""

    class events:  # noqa: N801  as a project writes it
        shipped: Shipped
        paid: Paid

    @on_rpc("cart.add")
    def add(call, product: int, size: Size = Size.SMALL) -> Paid: ...

    @on_rpc("report.*")
    def report(call, year: int): ...

    @on_rpc("now")
    def now(call): ...

    return type(
        "Order",
        (Namespace,),
        {"name": "order", "pattern": "<int:pk>", "events": events, **attributes},
    )
