"""Writes the generated texts of `assets/examples`: a listing, an API response, a server log, an XML file.

    python scripts/make_examples.py            # write them
    python scripts/make_examples.py --check    # exit with 1 if a file differs from what would be written

Everything in them is invented. Projects, people, companies and places do not exist; addresses come from the
ranges reserved for documentation (RFC 5737, RFC 3849), host names from example.com (RFC 2606), telephone
numbers from the block that Ofcom keeps for drama. The same seeds give the same bytes on every platform: only
integer draws of `random.Random` are used, no clock, no locale, no order of sets.

The hand-written texts (`module.py`, `chat.txt`, `prose.txt`) and `index.json` are files of their own and are
not touched.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from xml.sax.saxutils import escape, quoteattr

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "examples"


# --- listing.txt: `ls -lR` of a project ---------------------------------------------------------------------

# One line a directory: its path, then its files. A size follows a name; where it does not, one is drawn.
_PROJECT = """
. CHANGELOG.md LICENSE:11357 Makefile:2214 README.md:6120 compose.yaml:1871 pyproject.toml:2940 uv.lock:188211
./deploy Dockerfile:1402 entrypoint.sh:611 nginx.conf:2256 prometheus.yml:894
./deploy/helm Chart.yaml:338 values-production.yaml:2417 values-staging.yaml:2388 values.yaml:3102
./deploy/helm/templates configmap.yaml cronjob.yaml deployment.yaml hpa.yaml ingress.yaml service.yaml
./docs api.md architecture.md calibration.md datums.md onboarding.md operations.md
./docs/decisions 0001-record-decisions.md 0002-store-heights-in-millimetres.md 0003-utc-everywhere.md
./docs/img architecture.svg datum-levels.svg residuals-2023.png:48213 station-map.png:213377
./migrations env.py:2140 script.py.mako:634
./migrations/versions 0001_stations.py 0002_readings.py 0003_readings_partition.py 0004_calibrations.py
./scripts backfill_readings.py check_gaps.sh export_harmonics.py rebuild_station_index.py
./src/tidewater __init__.py:212 __main__.py:96 config.py logging.py version.py:64
./src/tidewater/api __init__.py:0 app.py deps.py errors.py middleware.py pagination.py schemas.py
./src/tidewater/api/routes __init__.py:0 alerts.py calibrations.py health.py predictions.py readings.py
./src/tidewater/ingest __init__.py:0 base.py csv_drop.py mqtt.py radar_gauge.py retry.py validate.py
./src/tidewater/models __init__.py:388 alert.py calibration.py prediction.py reading.py station.py
./src/tidewater/tides __init__.py:0 constituents.py fit.py harmonics.py predict.py residuals.py
./src/tidewater/workers __init__.py:0 alerts.py nightly_fit.py queue.py
./tests __init__.py:0 conftest.py factories.py
./tests/api __init__.py:0 test_alerts.py test_calibrations.py test_predictions.py test_readings.py
./tests/data gauge_north_pier_2023-11.csv:1310204 gauge_old_harbour_2023-11.csv:1298871 harmonics.json
./tests/ingest __init__.py:0 test_csv_drop.py test_mqtt.py test_radar_gauge.py test_validate.py
./tests/tides __init__.py:0 test_constituents.py test_fit.py test_predict.py test_residuals.py
"""


def listing() -> str:
    """What `ls -lR` prints: directories in order, each with its entries sorted and its size in blocks."""
    rng = Random(20240311)
    files: dict[str, list[tuple[str, int]]] = {}
    for line in _PROJECT.strip().splitlines():
        path, *names = line.split(" ")
        files[path] = [_sized(name, rng) for name in names]
    for path in list(files):  # directories that hold directories only
        parts = path.split("/")
        for depth in range(2, len(parts)):
            files.setdefault("/".join(parts[:depth]), [])

    blocks = []
    for path in sorted(files):
        children = [other for other in files if other.rpartition("/")[0] == path]
        entries: list[tuple[str, int, int, str]] = []
        entries += [("drwxr-xr-x", 2 + _subfolders(c, files), 4096, c.rpartition("/")[2]) for c in children]
        for name, size in files[path]:
            executable = name.endswith(".sh") or path == "./scripts"
            entries.append(("-rwxr-xr-x" if executable else "-rw-r--r--", 1, size, name))
        entries.sort(key=lambda entry: entry[3].lower().lstrip("._"))
        width = max((len(str(size)) for _, _, size, _ in entries), default=1)
        lines = [f"{path}:", f"total {sum(-(-size // 4096) * 4 for _, _, size, _ in entries)}"]
        for mode, links, size, name in entries:
            lines.append(f"{mode} {links} ines harbour {size:{width}d} {_changed(rng)} {name}")
        blocks.append("\n".join(lines))
    return "$ ls -lR\n" + "\n\n".join(blocks) + "\n"


def _changed(rng: Random) -> str:
    """When a file was last changed, as ls writes it: with the time for the last half year, else the year."""
    bursts = [3, 4, 4, 11, 12, 40, 41, 75, 76, 76, 118, 160, 193, 240]  # days ago: work comes in bursts
    day = datetime(2024, 3, 11) - timedelta(days=rng.choice(bursts))
    minute = 9 * 60 + rng.randrange(9 * 60)
    # strftime("%b") would follow the locale
    date = f"{_MONTHS[day.month - 1]} {day.day:2d}"
    return f"{date} {minute // 60:02d}:{minute % 60:02d}" if day >= datetime(2023, 9, 11) else f"{date}  {day.year}"


def _sized(entry: str, rng: Random) -> tuple[str, int]:
    name, _, size = entry.partition(":")
    return name, int(size) if size else 400 + rng.randrange(90) * rng.randrange(90)


def _subfolders(path: str, files: dict[str, list[tuple[str, int]]]) -> int:
    return sum(other.rpartition("/")[0] == path for other in files)


# --- api.json: a page of shipments --------------------------------------------------------------------------

_PEOPLE = [
    ("Oluwaseun Adeyemi", "14 Tannery Row", "Marlow Bridge", "MB4 2QT"),
    ("Greta Lindqvist", "3 Foundry Court", "Ashcombe", "AC1 7RD"),
    ("Tomás Ferreira", "88 Quayside", "Port Ellery", "PE2 9LS"),
    ("Priya Raghunathan", "Flat 5, 21 Hollins Street", "Ashcombe", "AC1 3WB"),
    ("Marit van der Zee", "The Old Dairy, Mill Lane", "Nether Wick", "NW7 4HN"),
    ("Jamal Whitfield", "207 Station Approach", "Marlow Bridge", "MB1 1AE"),
    ("Ewa Kowalczyk", "9 Larch Close", "Port Ellery", "PE6 0FD"),
    ("Hiroshi Tanabe", "Unit 12, Saltworks Yard", "Port Ellery", "PE1 5KX"),
    ("Ffion Pritchard", "41 Chapel Hill", "Nether Wick", "NW7 2JU"),
    ("Daniel Osei-Bonsu", "160 Canal Parade", "Ashcombe", "AC3 8PG"),
]
_GOODS = [
    ("FRM-OAK-A3", "Picture frame, oak, A3", 1180),
    ("MUG-SPK-04", "Speckled mug, set of four", 1640),
    ("LMP-BRS-02", "Brass desk lamp", 2310),
    ("NTB-DOT-A5", "Dotted notebook, A5", 290),
    ("TWL-LIN-70", "Linen towel, 70 by 140", 520),
    ("KNF-CHF-18", "Chef's knife, 18 cm", 415),
    ("PLT-FRN-SM", "Potted fern, small", 860),
    ("CLK-WAL-30", "Wall clock, 30 cm", 990),
]
_SERVICES = [("standard", 3), ("standard", 3), ("express", 1), ("locker", 2)]
_EVENTS = [
    ("accepted", "Label created, parcel data received"),
    ("collected", "Collected from sender"),
    ("at_hub", "Arrived at sorting hub"),
    ("departed_hub", "Departed from sorting hub"),
    ("out_for_delivery", "Out for delivery"),
    ("delivered", "Delivered"),
]
_HUBS = ["Ashcombe Central", "Port Ellery East", "Marlow Bridge"]


def api() -> str:
    """One page of a JSON REST API: nested objects, links, pagination."""
    rng = Random(7)
    shipments = [_shipment(rng, 48_213 + i) for i in range(5)]
    page = {
        "data": shipments,
        "meta": {
            "page": 3,
            "per_page": 5,
            "total": 124,
            "total_pages": 25,
            "sort": "-created_at",
            "request_id": _hex(rng, 24),
            "generated_at": "2024-05-17T09:31:08Z",
        },
        "links": {
            rel: f"https://api.example.com/v2/shipments?page={number}&per_page=5&sort=-created_at"
            for rel, number in [("self", 3), ("first", 1), ("prev", 2), ("next", 4), ("last", 25)]
        },
    }
    return json.dumps(page, indent=2, ensure_ascii=False) + "\n"


def _shipment(rng: Random, number: int) -> dict[str, Any]:
    identifier = f"shp_{_hex(rng, 12)}"
    created = datetime(2024, 5, 13, 7, 0) + timedelta(minutes=rng.randrange(3 * 24 * 60))
    name, street, town, code = rng.choice(_PEOPLE)
    service, days = rng.choice(_SERVICES)
    parcels = []
    for position in range(1, 2 + rng.randrange(2)):
        sku, title, grams = rng.choice(_GOODS)
        quantity = 1 + rng.randrange(3)
        parcels.append(
            {
                "id": f"{identifier}-{position}",
                "weight_grams": grams * quantity + 140,
                "dimensions_cm": {"length": 20 + 5 * rng.randrange(7), "width": 30, "height": 10},
                "contents": [{"sku": sku, "description": title, "quantity": quantity}],
            }
        )
    events = _events(rng, created, town)
    done = len(events) == len(_EVENTS)
    handle = name.split()[0].lower().replace("á", "a")
    return {
        "id": identifier,
        "object": "shipment",
        "reference": f"ORD-{number}",
        "status": events[-1]["type"],
        "service": {"code": service, "carrier": "Fenwick Parcels", "promised_days": days},
        "created_at": _utc(created),
        "delivered_at": events[-1]["occurred_at"] if done else None,
        "sender": {
            "name": "Saltbox Home Ltd",
            "address": {
                "line1": "2 Ropewalk",
                "line2": None,
                "town": "Port Ellery",
                "postcode": "PE1 4TB",
                "country": "GB",
            },
        },
        "recipient": {
            "name": name,
            "email": f"{handle}@example.com",
            "phone": f"+44 1632 960{rng.randrange(1000):03d}",
            "address": {"line1": street, "line2": None, "town": town, "postcode": code, "country": "GB"},
        },
        "parcels": parcels,
        "events": events,
        "cost": {
            "net": f"{4 + rng.randrange(9)}.{rng.randrange(100):02d}",
            "vat_rate": "0.20",
            "currency": "GBP",
        },
        "links": {"self": f"https://api.example.com/v2/shipments/{identifier}"},
    }


def _events(rng: Random, created: datetime, town: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    when = created
    for kind, text in _EVENTS[: 3 + rng.randrange(4)]:
        at_hub = kind in ("at_hub", "departed_hub")
        place = rng.choice(_HUBS) if at_hub else town if kind in ("out_for_delivery", "delivered") else "Port Ellery"
        events.append({"type": kind, "description": text, "location": place, "occurred_at": _utc(when)})
        when += timedelta(minutes=35 + rng.randrange(560), seconds=rng.randrange(60))
    return events


def _utc(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def _hex(rng: Random, digits: int) -> str:
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


# --- server.log: a web server and the application behind it -------------------------------------------------

_AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.4 Mobile/15E148 Safari/604.1",
    "saltbox-mobile/3.8.1 (Android 14; Pixel 7a)",
]
_BOT = "ExampleBot/2.1 (+https://www.example.com/bot.html)"
_PROBE = ("192.0.2.10", "kube-probe/1.29")
_BROWSED = [
    "GET /api/v2/products?category=lighting&page={n}",
    "GET /api/v2/products?category=kitchen&page={n}",
    "GET /api/v2/products/{sku}",
    "GET /api/v2/products/{sku}",
]
_SHOPPED = [
    *_BROWSED,
    "GET /api/v2/basket",
    "GET /static/app.6f2c1d.js",
    "POST /api/v2/basket/items",
    "POST /api/v2/basket/items",
    "POST /api/v2/checkout",
]
_WITHDRAWN = "CLK-WAL-30"
_TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/shop/app/checkout/service.py", line 141, in pay
    receipt = self._payments.charge(order.total, token=order.card_token, key=order.reference)
  File "/srv/shop/app/payments/client.py", line 88, in charge
    answer = self._post("/v1/charges", body, deadline=self._deadline)
  File "/srv/shop/app/payments/client.py", line 52, in _post
    raise ProviderTimeout(f"no answer within {deadline:.1f} s") from None
app.payments.errors.ProviderTimeout: no answer within 10.0 s
"""


def log() -> str:
    """Some minutes of a shop: access lines, application lines with the same request ids, a timeout, a job."""
    rng = Random(443)
    lines = list(_job())
    clock = datetime(2024, 5, 17, 6, 2, 11)
    clients = [_client(rng) for _ in range(9)]
    for count in range(33):
        clock += timedelta(milliseconds=400 + rng.randrange(31_000))
        if count % 9 == 4:
            lines.append(_access(clock, _PROBE, "GET /healthz", 200, 2, 1 + rng.randrange(3), _hex(rng, 16)))
        else:
            lines += _request(rng, clock, rng.choice(clients), timeout=count in (12, 26))
    return "\n".join(lines) + "\n"


def _job() -> Iterator[str]:
    for second, level, message in [
        ("00.004", "INFO ", "[scheduler] job=stock-sync run=1187 started"),
        ("01.377", "INFO ", "[stock] warehouse=port-ellery fetched 412 rows in 1.36 s"),
        ("02.918", "INFO ", "[stock] warehouse=ashcombe fetched 397 rows in 1.54 s"),
        ("03.012", "WARN ", "[stock] sku=LMP-BRS-02 negative stock (-3) at warehouse=ashcombe, clamped to 0"),
        ("03.015", "WARN ", "[stock] sku=KNF-CHF-18 negative stock (-1) at warehouse=ashcombe, clamped to 0"),
        (
            "03.240",
            "INFO ",
            "[scheduler] job=stock-sync run=1187 finished status=ok updated=31 duration=3.2s",
        ),
    ]:
        yield f"2024-05-17T06:00:{second}Z {level} {message}"


def _client(rng: Random) -> tuple[str, str]:
    if rng.randrange(6) == 0:
        address = f"2001:db8:{rng.randrange(0xFFFF):x}::{rng.randrange(1, 0xFFFF):x}"
    else:
        address = f"{rng.choice(['192.0.2', '198.51.100', '203.0.113'])}.{rng.randrange(1, 255)}"
    return address, _BOT if rng.randrange(7) == 0 else rng.choice(_AGENTS)


def _request(rng: Random, clock: datetime, client: tuple[str, str], *, timeout: bool) -> Iterator[str]:
    sku = rng.choice(_GOODS)[0]
    line = rng.choice(_BROWSED if client[1] == _BOT else _SHOPPED).format(n=1 + rng.randrange(6), sku=sku)
    request_id = _hex(rng, 16)
    stamp = f"{clock:%Y-%m-%dT%H:%M:%S}.{clock.microsecond // 1000:03d}Z"
    status, taken, size = 200, 6 + rng.randrange(180), 180 + rng.randrange(9000)
    note, details = "", ""
    if timeout:
        line, status, taken, size = "POST /api/v2/checkout", 502, 10_000 + rng.randrange(40), 157
        note, details = (
            f"ERROR [payments] provider timed out after 10.0 s, order=ORD-{_order(rng)}",
            _TRACEBACK,
        )
    elif line == "POST /api/v2/checkout":
        status, taken = 201, 400 + rng.randrange(900)
        total = f"{12 + rng.randrange(140)}.{rng.randrange(100):02d}"
        note = f"INFO  [checkout] order=ORD-{_order(rng)} total={total} GBP status=paid"
    elif line == "POST /api/v2/basket/items":
        status = 201
        note = f"INFO  [basket] added sku={sku} quantity={1 + rng.randrange(3)}"
    elif line.startswith("GET /static"):
        status, size, taken = (200, 61_804, 9) if rng.randrange(3) else (304, 0, 1)
    elif line.endswith(_WITHDRAWN):
        status, size = 404, 93
        note = f"WARN  [catalogue] sku={sku} is not for sale"
    elif "?category" in line and taken > 130:
        query = "SELECT * FROM products WHERE category = $1 ORDER BY rank LIMIT 24"
        note = f"WARN  [db] slow query ({taken - 20} ms): {query}"
    if note:
        yield f"{stamp} {note} req={request_id}"
        yield from details.splitlines()
    yield _access(clock, client, line, status, size, taken, request_id)


def _access(
    clock: datetime, client: tuple[str, str], line: str, status: int, size: int, taken: int, request_id: str
) -> str:
    address, agent = client
    return (
        f"{address} - - [{clock:%d}/{_MONTHS[clock.month - 1]}/{clock:%Y:%H:%M:%S} +0000] "
        f'"{line} HTTP/1.1" {status} {size} "-" "{agent}" rt={taken / 1000:.3f} rid={request_id}'
    )


def _order(rng: Random) -> int:
    return 48_900 + rng.randrange(90)


# --- catalogue.xml: a nursery's plants ----------------------------------------------------------------------

_PLANTS = [
    ("Achillea millefolium", "Yarrow 'Terracotta'", "perennial", 75, 60, "full", "Jun Jul Aug", 595),
    ("Alchemilla mollis", "Lady's mantle", "perennial", 45, 60, "partial", "Jun Jul", 525),
    (
        "Anemone hupehensis",
        "Anemone 'Hadspen Abundance'",
        "perennial",
        120,
        45,
        "partial",
        "Aug Sep Oct",
        695,
    ),
    ("Astrantia major", "Great masterwort", "perennial", 65, 40, "partial", "Jun Jul Aug", 650),
    ("Carex testacea", "Orange sedge", "grass", 50, 50, "full", "Jul", 575),
    ("Cornus alba", "Dogwood 'Sibirica'", "shrub", 200, 200, "full", "May Jun", 1450),
    ("Digitalis purpurea", "Foxglove", "biennial", 150, 40, "partial", "Jun Jul", 425),
    ("Dryopteris filix-mas", "Male fern", "fern", 110, 90, "shade", "", 750),
    ("Echinacea purpurea", "Coneflower 'Magnus'", "perennial", 90, 45, "full", "Jul Aug Sep", 675),
    ("Geranium 'Rozanne'", "Cranesbill 'Rozanne'", "perennial", 50, 90, "full", "Jun Jul Aug Sep", 795),
    ("Hakonechloa macra", "Japanese forest grass", "grass", 40, 45, "shade", "Aug", 895),
    ("Hydrangea paniculata", "Hydrangea 'Limelight'", "shrub", 180, 150, "partial", "Jul Aug Sep", 1895),
    ("Lavandula angustifolia", "Lavender 'Hidcote'", "shrub", 60, 60, "full", "Jul Aug", 550),
    ("Molinia caerulea", "Purple moor grass 'Heidebraut'", "grass", 140, 50, "full", "Aug Sep", 725),
    ("Salvia nemorosa", "Balkan clary 'Caradonna'", "perennial", 60, 40, "full", "Jun Jul", 625),
    ("Sedum spectabile", "Ice plant", "perennial", 45, 45, "full", "Aug Sep Oct", 595),
    ("Verbena bonariensis", "Purpletop", "perennial", 180, 40, "full", "Jul Aug Sep", 550),
]
_AWARD = 'Growers\' Trial "Border", 2022'
_NOTES = [
    "Grows in any soil that does not stay wet in winter.",
    "Cut back hard in March, before new growth shows.",
    "Loved by bees & hoverflies; leave the seed heads for the birds.",
    "Slow in its first year, generous afterwards.",
    "Seeds itself about, never more than you would want.",
]


def catalogue() -> str:
    """An XML catalogue with namespaces, attributes, entities and a few elements that not every item has."""
    rng = Random(1759)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<cat:catalogue xmlns:cat="https://schemas.example.com/catalogue/2"',
        '               xmlns:p="https://schemas.example.com/price/1"',
        '               season="2024-spring" currency="GBP" xml:lang="en">',
        "  <cat:supplier>",
        "    <cat:name>Underhill &amp; Daughters Nursery</cat:name>",
        "    <cat:site>https://nursery.example.com</cat:site>",
        '    <cat:terms minimum="50.00" leadDays="5"/>',
        "  </cat:supplier>",
        f'  <cat:items count="{len(_PLANTS)}">',
    ]
    for number, (latin, common, kind, height, spread, light, months, pence) in enumerate(_PLANTS, 1):
        lines.append(f'    <cat:item id="UD-{1000 + 7 * number}" type="{kind}">')
        lines.append(f'      <cat:name lang="la">{escape(latin)}</cat:name>')
        lines.append(f'      <cat:name lang="en">{escape(common)}</cat:name>')
        lines.append(f'      <cat:size unit="cm" height="{height}" spread="{spread}"/>')
        lines.append(f"      <cat:light>{light}</cat:light>")
        if months:
            named = "".join(f"<cat:month>{month}</cat:month>" for month in months.split())
            lines.append(f"      <cat:flowering>{named}</cat:flowering>")
        if rng.randrange(3):
            lines.append(f"      <cat:note>{escape(rng.choice(_NOTES))}</cat:note>")
        if rng.randrange(5) == 0:
            lines.append(f"      <cat:award by={quoteattr(_AWARD)}/>")
        lines.append("      <p:prices>")
        for pot, factor in [("9cm", 10), ("2L", 17), ("5L", 31)][: 2 + rng.randrange(2)]:
            price = (pence * factor // 10 + 4) // 5 * 5
            stock = rng.randrange(160)
            lines.append(f'        <p:price pot="{pot}" stock="{stock}">{price // 100}.{price % 100:02d}</p:price>')
        lines.append("      </p:prices>")
        lines.append("    </cat:item>")
    lines += ["  </cat:items>", "</cat:catalogue>"]
    return "\n".join(lines) + "\n"


GENERATED: dict[str, Callable[[], str]] = {
    "listing.txt": listing,
    "api.json": api,
    "server.log": log,
    "catalogue.xml": catalogue,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the generated example texts.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file would change")
    check = parser.parse_args(arguments).check
    changed = []
    for name, build in GENERATED.items():
        path, data = FOLDER / name, build().encode("utf-8")
        if path.exists() and path.read_bytes() == data:
            continue
        changed.append(name)
        if not check:
            path.write_bytes(data)
    for name in changed:
        print(f"{name}: {'differs' if check else 'written'}")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
