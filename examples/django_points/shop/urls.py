"""Addresses."""

from __future__ import annotations

from django.urls import path
from points import views

urlpatterns = [
    path("redemptions", views.redeem),
    path("redemptions/<process_id>", views.look),
    path("accounts/<user>", views.points),
    path("callbacks/prizes", views.called_back),
    path("grants", views.grant),
]
