"""Plan purchase orders from stock counts and recent sales.

Reads two CSV files, works out how fast every product sells, and proposes what to
order from which supplier so that nothing runs out before the next delivery:

    python module.py stock.csv sales.csv --today 2024-05-17 --cover-days 21

stock.csv has the columns sku, name, supplier, on_hand, on_order, pack_size, unit_cost.
sales.csv has the columns date, sku, quantity. Returns are negative quantities.
"""

from __future__ import annotations

import argparse
import csv
import logging
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path

logger = logging.getLogger("restock")

STOCK_COLUMNS = {"sku", "name", "supplier", "on_hand", "on_order", "pack_size", "unit_cost"}
SALES_COLUMNS = {"date", "sku", "quantity"}

CENT = Decimal("0.01")
DEFAULT_LEAD_DAYS = 7
LEAD_DAYS = {
    "Fenwick Paper": 3,
    "Hollins Ceramics": 14,
    "Lindqvist Lighting": 21,
    "Marlow Textiles": 10,
}


class DataError(ValueError):
    """A row of an input file that cannot be used; says which file, which line and why."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path.name}, line {line}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason


@dataclass(frozen=True)
class Product:
    """One line of the stock file."""

    sku: str
    name: str
    supplier: str
    on_hand: int
    on_order: int
    pack_size: int
    unit_cost: Decimal

    @property
    def available(self) -> int:
        """Units in the house or on their way to it."""
        return self.on_hand + self.on_order

    @property
    def lead_days(self) -> int:
        """Days between an order to this supplier and its delivery."""
        return LEAD_DAYS.get(self.supplier, DEFAULT_LEAD_DAYS)


@dataclass(frozen=True)
class Sale:
    """One line of the sales file; a return has a negative quantity."""

    day: date
    sku: str
    quantity: int


@dataclass(frozen=True)
class OrderLine:
    """So many packs of one product."""

    product: Product
    packs: int

    @property
    def units(self) -> int:
        return self.packs * self.product.pack_size

    @property
    def cost(self) -> Decimal:
        return (self.units * self.product.unit_cost).quantize(CENT, ROUND_HALF_UP)


@dataclass
class PurchaseOrder:
    """Everything to order from one supplier."""

    supplier: str
    lines: list[OrderLine] = field(default_factory=list)

    @property
    def total(self) -> Decimal:
        return sum((line.cost for line in self.lines), Decimal(0))

    def add(self, line: OrderLine) -> None:
        if line.product.supplier != self.supplier:
            raise ValueError(f"{line.product.sku} is not sold by {self.supplier}")
        self.lines.append(line)


@dataclass(frozen=True)
class Demand:
    """How fast a product sells: the mean of a day, and how much days differ."""

    mean: float
    deviation: float

    def over(self, days: int, safety: float) -> int:
        """Units to have for that many days, with a margin of `safety` deviations."""
        expected = self.mean * days
        margin = safety * self.deviation * math.sqrt(days)
        return math.ceil(expected + margin)


def read_products(path: Path) -> Iterator[Product]:
    """The products of a stock file."""
    for line, row in _rows(path, STOCK_COLUMNS):
        on_hand = _integer(path, line, row, "on_hand")
        on_order = _integer(path, line, row, "on_order")
        pack_size = _integer(path, line, row, "pack_size")
        if on_hand < 0:
            logger.warning("%s, line %d: negative stock of %s, taken as 0", path.name, line, row["sku"])
            on_hand = 0
        if pack_size < 1:
            raise DataError(path, line, f"pack_size must be at least 1, got {pack_size}")
        yield Product(
            sku=row["sku"],
            name=row["name"],
            supplier=row["supplier"],
            on_hand=on_hand,
            on_order=on_order,
            pack_size=pack_size,
            unit_cost=_decimal(path, line, row, "unit_cost"),
        )


def read_sales(path: Path) -> Iterator[Sale]:
    """The sales of a sales file."""
    for line, row in _rows(path, SALES_COLUMNS):
        try:
            day = date.fromisoformat(row["date"])
        except ValueError:
            raise DataError(path, line, f"date must be YYYY-MM-DD, got {row['date']!r}") from None
        yield Sale(day=day, sku=row["sku"], quantity=_integer(path, line, row, "quantity"))


def demand(sales: Iterable[Sale], today: date, window_days: int) -> dict[str, Demand]:
    """Demand by SKU over the days before `today`; days without a sale count as 0."""
    first = today - timedelta(days=window_days)
    daily: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for sale in sales:
        if first <= sale.day < today:
            daily[sale.sku][sale.day] += sale.quantity
    result = {}
    for sku, quantities in daily.items():
        mean = max(0.0, sum(quantities.values()) / window_days)
        squares = sum((quantity - mean) ** 2 for quantity in quantities.values())
        squares += (window_days - len(quantities)) * mean**2
        result[sku] = Demand(mean=mean, deviation=math.sqrt(squares / window_days))
    return result


def plan(
    products: Iterable[Product],
    demands: dict[str, Demand],
    cover_days: int,
    safety: float,
) -> list[PurchaseOrder]:
    """One order a supplier, for the products that would run out; the dearest order first."""
    orders: dict[str, PurchaseOrder] = {}
    for product in products:
        if product.sku not in demands:
            logger.info("%s has not sold lately, nothing ordered", product.sku)
            continue
        needed = demands[product.sku].over(product.lead_days + cover_days, safety)
        missing = needed - product.available
        if missing <= 0:
            continue
        packs = math.ceil(missing / product.pack_size)
        order = orders.setdefault(product.supplier, PurchaseOrder(product.supplier))
        order.add(OrderLine(product, packs))
    return sorted(orders.values(), key=lambda order: (-order.total, order.supplier))


def report(orders: Sequence[PurchaseOrder]) -> Iterator[str]:
    """The orders as lines of text."""
    if not orders:
        yield "Nothing to order."
        return
    for order in orders:
        yield f"{order.supplier}"
        for line in sorted(order.lines, key=lambda line: line.product.sku):
            product = line.product
            yield (
                f"  {product.sku:<12} {product.name:<32.32} "
                f"{line.packs:>4} x {product.pack_size:<4} {line.cost:>10,}"
            )
        yield f"  {'total':<12} {'':<32} {'':>11} {order.total:>10,}"
    yield f"All orders: {sum((order.total for order in orders), Decimal(0)):,}"


def _rows(path: Path, columns: set[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with their line numbers, stripped of blanks."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        absent = columns - set(reader.fieldnames or ())
        if absent:
            raise DataError(path, 1, f"missing columns: {', '.join(sorted(absent))}")
        for row in reader:
            yield reader.line_num, {name: (row[name] or "").strip() for name in columns}


def _integer(path: Path, line: int, row: dict[str, str], column: str) -> int:
    try:
        return int(row[column])
    except ValueError:
        raise DataError(path, line, f"{column} must be a whole number, got {row[column]!r}") from None


def _decimal(path: Path, line: int, row: dict[str, str], column: str) -> Decimal:
    try:
        return Decimal(row[column])
    except InvalidOperation:
        raise DataError(path, line, f"{column} must be a number, got {row[column]!r}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Plan purchase orders from stock counts and recent sales.")
    parser.add_argument("stock", type=Path, help="CSV file of the products")
    parser.add_argument("sales", type=Path, help="CSV file of the sales")
    parser.add_argument("--today", type=date.fromisoformat, default=date.today())
    parser.add_argument("--window-days", type=int, default=56, help="how far back sales count")
    parser.add_argument("--cover-days", type=int, default=14, help="how long a delivery must last")
    parser.add_argument("--safety", type=float, default=1.3, help="margin, in standard deviations")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING)
    try:
        demands = demand(read_sales(options.sales), options.today, options.window_days)
        orders = plan(read_products(options.stock), demands, options.cover_days, options.safety)
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for line in report(orders):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
