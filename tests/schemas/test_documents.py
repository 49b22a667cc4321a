"""What Python declares, for TypeScript and for AsyncAPI."""

import json
import subprocess

import pytest
from django.core.management import CommandError, call_command

from instant.schemas.typescript import type_of
from tests.docs.documents import ROOT
from tests.schemas.declared import GroupSerializer, declare

pytestmark = pytest.mark.usefixtures("registry")

TYPES = """\
// Written by “manage.py instanttypes” from the declarations in Python. Changes here are lost.
import "djangoinstant"

declare module "djangoinstant" {
  interface InstantEvents {
    "group.updated": {
      name: string
      size: number | null
      tags: string[]
      state: "on" | "off"
      extra: unknown
    }
    paid: Paid
    shipped: Shipped
  }
  interface InstantMethods {
    "cart.add": { arguments: {
      product: number
      size?: Size
    }; result: Paid }
    now: { arguments: undefined; result: unknown }
    [method: `report.${string}`]: { arguments: unknown; result: unknown }
  }
}

export interface Item {
  /** As the shop calls it. */
  name: string
  count?: number
  size?: Size | null
}

export interface Paid {
  amount: number
  note?: string | null
}

export interface Shipped {
  at: string
  items: Item[]
  by?: "post" | "bike"
}

export type Size = "s" | "l"
"""


def declare_all():
    declare()
    declare(name="team", events={"group.updated": GroupSerializer})


def test_typescript(capsys):
    declare_all()
    call_command("instanttypes")
    assert capsys.readouterr().out == TYPES


def test_the_file_is_written_and_checked(tmp_path, capsys):
    declare()
    file = tmp_path / "instant.d.ts"
    with pytest.raises(SystemExit) as info:
        call_command("instanttypes", str(file), "--check")
    assert info.value.code == 1
    assert "run “manage.py instanttypes" in capsys.readouterr().err
    call_command("instanttypes", str(file))
    call_command("instanttypes", str(file), "--check")
    call_command("instanttypes", str(file))
    assert capsys.readouterr().out.splitlines()[1:] == [f"{file} is as Python declares."] * 2
    with pytest.raises(CommandError, match="Name the file"):
        call_command("instanttypes", "--check")
    with pytest.raises(CommandError, match="can't be read"):
        call_command("instanttypes", str(tmp_path))
    with pytest.raises(CommandError, match="can't be written"):
        call_command("instanttypes", str(tmp_path / "no" / "where.d.ts"))


PAGE = """
import { createInstant } from "djangoinstant"
const instant = createInstant()
instant.channel("order:1").on("shipped", ({ data }) => data.items.map((item) => item.name.toUpperCase()))
const { amount } = await instant.rpc("cart.add", { product: 7, size: "s" })
amount.toFixed()
await instant.rpc("now")
await instant.rpc("report.build", { year: 2026 })
// @ts-expect-error there is no such event
instant.channel("order:1").on("shiped", () => undefined)
// @ts-expect-error a size is "s" or "l"
await instant.rpc("cart.add", { product: 7, size: "m" })
"""


def test_the_compiler_takes_them_with_the_client(tmp_path, capsys):
    declare_all()
    call_command("instanttypes", str(tmp_path / "instant.d.ts"))
    (tmp_path / "page.ts").write_text(PAGE)
    client = ROOT / "js-client"
    options = {
        "strict": True, "noEmit": True, "target": "es2022", "module": "esnext", "types": [],
        "moduleResolution": "bundler", "lib": ["es2023", "dom", "dom.iterable"],
        "paths": {
            "djangoinstant": [str(client / "src/index.ts")],
            "centrifuge": [str(client / "node_modules/centrifuge")],
        },
    }  # fmt: skip
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options}))
    done = subprocess.run(
        ["node", client / "node_modules/typescript/bin/tsc", "-p", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({}, "unknown"),
        (True, "unknown"),
        (False, "never"),
        ({"type": "array"}, "unknown[]"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "(string | null)[]"),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {}]}, "[number, unknown]"),
        ({"type": "object"}, "Record<string, unknown>"),
        ({"type": "object", "additionalProperties": False}, "Record<string, never>"),
        (
            {"type": "object", "additionalProperties": {"type": "boolean"}},
            "Record<string, boolean>",
        ),
        ({"const": "a"}, '"a"'),
        ({"allOf": [{"$ref": "#/x/A[int]"}, {"$ref": "#/x/B.C"}]}, "A_int & B_C"),
        ({"type": "object", "properties": {"a-b": {"type": "null"}}}, '{\n  "a-b"?: null\n}'),
    ],
)
def test_types(schema, made):
    assert type_of(schema) == made


def test_asyncapi(capsys):
    declare_all()
    declare(name="closed", events=None, client_publish="ask", can_publish=lambda *_, **__: True)
    call_command("asyncapi", "--title", "Shop", "--url", "wss://example.com/connection/websocket")
    made = json.loads(capsys.readouterr().out)
    assert made["info"] == {"title": "Shop", "version": "1"}
    assert made["servers"]["instant"]["host"] == "example.com"
    order = made["channels"]["order"]
    assert order["address"] == "order:{pk}"
    assert order["parameters"] == {"pk": {}}
    assert list(order["messages"]) == ["shipped", "paid"]
    assert order["messages"]["paid"]["payload"]["properties"]["data"] == {
        "$ref": "#/components/schemas/Paid"
    }
    assert "receive_order" not in made["operations"]
    assert made["operations"]["receive_closed"]["messages"] == [
        {"$ref": "#/channels/closed/messages/message"}
    ]
    assert {"Item", "Paid", "Shipped", "Size"} <= set(made["components"]["schemas"])


PARSE = """
import { Parser } from "@asyncapi/parser"
import { readFileSync } from "node:fs"
const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"))
const errors = diagnostics.filter(({ severity }) => severity === 0)
console.log(JSON.stringify(errors.map(({ message, path }) => [message, path.join(".")])))
process.exit(document && !errors.length ? 0 : 1)
"""


def test_the_official_parser_accepts_it(capsys, tmp_path):
    declare_all()
    declare(name="closed", events=None, client_publish="ask", can_publish=lambda *_, **__: True)
    call_command("asyncapi", "--url", "wss://example.com/connection/websocket")
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", PARSE],
        input=capsys.readouterr().out, capture_output=True, text=True, check=False, cwd=ROOT / "js-client",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
