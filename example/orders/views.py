from django import forms
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from orders.models import Line, MovedAlready, Order
from shop.access import not_found, staff_only


class ShareForm(forms.Form):
    # By name: a list to choose from would show every customer to every other.
    user = forms.ModelChoiceField(
        None,
        to_field_name="username",
        label="User name",
        error_messages={"invalid_choice": "There is no other customer of that name."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )

    def __init__(self, order, *args, **kwargs):
        super().__init__(*args, **kwargs)
        customers = get_user_model().objects.filter(is_active=True, is_staff=False)
        self.fields["user"].queryset = customers.exclude(pk=order.customer_id)


def _found(request, pk):
    orders = Order.objects.for_user(request.user).select_related("customer")
    return orders.prefetch_related("lines__product", "shares__user").filter(pk=pk).first()


@login_required
def index(request):
    orders = Order.objects.for_user(request.user).select_related("customer")
    return render(request, "orders/index.html", {"orders": orders.prefetch_related("lines")[:50]})


@login_required
def detail(request, pk):
    order = _found(request, pk)
    if order is None:
        return not_found(request)
    may_share = order.may_be_shared_by(request.user)
    return _show(request, order, ShareForm(order) if may_share else None)


def _show(request, order, share_form):
    return render(request, "orders/detail.html", {"order": order, "share_form": share_form})


@require_POST
@staff_only
def move(request, pk):
    order = _found(request, pk)
    if order is None:
        return not_found(request)
    try:
        order.advance(request.POST.get("status"), by=request.user)
    except MovedAlready:
        messages.error(request, f"{order} was moved in the meantime.")
    return redirect(order)


@require_POST
@login_required
def again(request, pk):
    """Place an order with the lines of an earlier one, at today's prices."""
    order = _found(request, pk)
    if order is None or order.customer != request.user:
        return not_found(request)
    copy = Order(customer=request.user)
    copy.place(
        [
            Line(product=line.product, quantity=line.quantity, price=line.product.price)
            for line in order.lines.all()
        ]
    )
    return redirect(copy)


@login_required
def share(request, pk):
    order = _found(request, pk)
    if order is None or not order.may_be_shared_by(request.user):
        return not_found(request)
    if request.method == "POST":
        form = ShareForm(order, request.POST)
        if not form.is_valid():
            return _show(request, order, form)  # with what was typed, and what is wrong with it
        user = form.cleaned_data["user"]
        order.share_with(user, by=request.user)
        messages.success(request, f"{user} can see this order now.")
    return redirect(order)


@require_POST
@login_required
def take_back(request, pk):
    order = _found(request, pk)
    if order is None or not order.may_be_shared_by(request.user):
        return not_found(request)
    # Somebody else may have done it a moment ago, which is as good.
    share = order.shares.filter(user__username=request.POST.get("user")).first()
    if share is not None:
        order.take_back(share, by=request.user)
        messages.success(request, f"{share.user} no longer sees this order.")
    return redirect(order)
