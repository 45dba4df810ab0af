"""Two models with a relation, and a field of each type that the sqlite backend adapts."""

from django.db import models


class Shop(models.Model):
    name = models.CharField(max_length=40, unique=True)


class Item(models.Model):
    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="items")
    name = models.CharField(max_length=40)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    stock = models.PositiveIntegerField()
    added = models.DateTimeField()
    kept = models.DurationField()
    picture = models.BinaryField(null=True)
    extra = models.JSONField(default=dict)
