"""Accounts and visits."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """The first tables."""

    initial = True
    operations = (
        migrations.CreateModel(
            "Account",
            [
                ("name", models.CharField(max_length=100, primary_key=True)),
                ("points", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            "Visit",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("user", models.CharField(max_length=100)),
                ("sku", models.CharField(max_length=100)),
            ],
        ),
    )
