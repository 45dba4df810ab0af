"""A Django project in one file on the sqlite backend: migrations, models, queries, rollback."""

# ruff: noqa: E402 - the replacement comes before whatever imports sqlite3
import libsql_core

libsql_core.install_as_sqlite3()

import datetime as dt
import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import django
from django.conf import settings

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "shop.db",
            "OPTIONS": {"timeout": 7, "transaction_mode": "IMMEDIATE"},
        }
    },
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "shop"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    TIME_ZONE="UTC",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection, models, transaction
from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, StdDev, Sum, Value
from django.db.models.functions import Concat, ExtractYear, Sqrt, TruncMonth, Upper
from shop.models import Item, Shop


def migrate() -> dict[str, Any]:
    """Run the real migrations of auth, then create and alter tables by hand."""
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Shop)
        editor.create_model(Item)
    weight = models.FloatField(default=1.5)
    weight.set_attributes_from_name("weight")
    text = models.TextField(default="")
    text.set_attributes_from_name("weight")
    Shop.objects.create(name="Before")
    with connection.schema_editor() as editor:
        weight.model = text.model = Shop
        editor.add_field(Shop, weight)
        editor.alter_field(Shop, weight, text)  # remakes the table
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, weight FROM shop_shop")
        altered = cursor.fetchall()
        description = connection.introspection.get_table_description(cursor, "shop_item")
    with connection.schema_editor() as editor:
        editor.remove_field(Shop, text)
    Shop.objects.all().delete()
    user = User.objects.create_user("ada", password="secret")
    user.groups.add(Group.objects.create(name="staff"))
    return {
        "tables": connection.introspection.table_names(),
        "columns": [column.name for column in description],
        "altered": altered,
        "user": User.objects.get(groups__name="staff").check_password("secret"),
    }


def fill() -> None:
    shops = Shop.objects.bulk_create([Shop(name="North"), Shop(name="South")])
    start = dt.datetime(2024, 1, 30, 23, 30, 0, 1234, tzinfo=dt.timezone.utc)
    Item.objects.bulk_create(
        Item(
            shop=shops[number % 2],
            name=f"Item {number}",
            price=Decimal("1.10") * number,
            stock=number,
            added=start + dt.timedelta(days=number),
            kept=dt.timedelta(days=number, microseconds=5),
            picture=b"\x00\xff" * number,
            extra={"size": number, "tags": ["a", "é"]},
        )
        for number in range(1, 7)
    )


def query() -> dict[str, Any]:
    item = Item.objects.select_related("shop").get(name="Item 3")
    names = Item.objects.order_by("id").values_list("name", flat=True)
    until = ExpressionWrapper(F("added") + F("kept"), output_field=models.DateTimeField())
    span = ExpressionWrapper(F("kept") * 2, output_field=DurationField())
    shops = Shop.objects.annotate(many=Count("items"), worth=Sum(F("items__price") * F("items__stock")))
    Item.objects.filter(name="Item 1").update(stock=F("stock") + 10)
    return {
        "types": [
            item.shop.name,
            repr(item.price),
            item.added.isoformat(),
            str(item.kept),
            bytes(item.picture).hex(),
            item.extra,
        ],
        "regex": list(names.filter(name__regex=r"[2-3]$")),
        "iregex": list(names.filter(name__iregex=r"^ITEM [45]$")),
        "f_update": Item.objects.get(name="Item 1").stock,
        "f_filter": list(names.filter(price__gt=F("stock") * 1, stock__lt=3)),
        "aggregate": Item.objects.aggregate(Sum("price"), Avg("stock"), StdDev("price")),
        "annotated": list(shops.order_by("name").values_list("name", "many", "worth")),
        "months": [
            [month.isoformat(), count]
            for month, count in Item.objects.annotate(month=TruncMonth("added"))
            .values_list("month")
            .annotate(Count("id"))
            .order_by("month")
        ],
        "year": Item.objects.annotate(y=ExtractYear("added")).filter(y=2024).count(),
        "dates": Item.objects.filter(added__date=dt.date(2024, 2, 1)).count(),
        "until": Item.objects.annotate(u=until).get(name="Item 2").u.isoformat(),
        "twice": str(Item.objects.annotate(s=span).get(name="Item 2").s),
        "text": Item.objects.annotate(t=Concat(Upper("name"), Value("!"))).first().t,
        "math": Item.objects.annotate(r=Sqrt("stock")).get(name="Item 4").r,
        "json": list(names.filter(extra__size__gte=5, extra__tags__1="é")),
        "prefetch": [len(shop.items.all()) for shop in Shop.objects.prefetch_related("items")],
        "iterated": sum(1 for _ in Item.objects.iterator(chunk_size=2)),
        "union": Item.objects.filter(id=1).union(Item.objects.filter(id=2)).count(),
    }


def transactions() -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name, work in {
        "unique": lambda: Shop.objects.create(name="North"),
        "check": lambda: Item.objects.update(stock=-1),
    }.items():
        try:
            with transaction.atomic():
                Shop.objects.create(name="Lost")
                work()
        except IntegrityError as error:
            cause: Any = error.__cause__
            facts[name] = [type(cause).__module__, cause.sqlite_errorname, str(cause)]
    with transaction.atomic():
        Shop.objects.create(name="Kept")
        with suppress(ValueError), transaction.atomic():  # a savepoint
            Shop.objects.create(name="Dropped")
            raise ValueError
    facts["shops"] = list(Shop.objects.order_by("name").values_list("name", flat=True))
    facts["upsert"] = Shop.objects.update_or_create(name="Kept", defaults={"name": "Held"})[1]
    Shop.objects.get(name="North").delete()
    facts["cascaded"] = Item.objects.count()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM missing")
    except OperationalError as error:
        facts["missing"] = str(error)
    return facts


def main() -> None:
    facts = migrate()
    fill()
    facts |= query() | transactions()
    raw: Any = connection.connection
    facts["connection_type"] = type(raw).__module__
    with connection.cursor() as cursor:
        facts["sqlite_version"] = cursor.execute("SELECT sqlite_version()").fetchone()[0]
        facts["plan"] = "shop_item" in Item.objects.filter(id=1).explain()
    facts["our_version"] = libsql_core.sqlite_version
    connection.close()
    print(json.dumps(facts, default=str))


main()
