from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from orders.models import Line, MovedAlready, Order
from shop.access import not_found, staff_only


def _found(request, pk):
    orders = Order.objects.for_user(request.user).select_related("customer")
    return orders.prefetch_related("lines__product").filter(pk=pk).first()


@login_required
def index(request):
    orders = Order.objects.for_user(request.user).select_related("customer")
    return render(request, "orders/index.html", {"orders": orders.prefetch_related("lines")[:50]})


@login_required
def detail(request, pk):
    order = _found(request, pk)
    if order is None:
        return not_found(request)
    return render(request, "orders/detail.html", {"order": order})


@login_required
def state(request, pk):
    order = _found(request, pk)
    if order is None:
        return JsonResponse({"error": "There is no such order."}, status=404)
    return JsonResponse(order.as_data())


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
