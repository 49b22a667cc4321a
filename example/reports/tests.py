"""What the staff ask of a worker."""

from django.contrib.auth.models import User
from django.test import TestCase, override_settings
from instant import request
from instant.handlers import Refused
from instant.testing import answering, call_rpc

from catalogue.models import Product


# Whoever asks in a user's name gets a token with the ticket: here no server has written a key.
@override_settings(REPORT_SECONDS=0, CENTRIFUGO_HMAC_KEY="x" * 32)
class ForecastTest(TestCase):
    def setUp(self):
        self.sam = User.objects.create_user("sam", is_staff=True)

    def test_the_staff_get_an_answer(self):
        Product.objects.create(sku="W-1", name="Wool", category="Yarn", price="8.50", stock=10_000)
        with answering("forecast") as forecasts:
            self.assertEqual(
                request("forecast", {"weeks": 2}, user=self.sam), {"weeks": 2, "percent": 100}
            )
        forecasts.assert_asked({"weeks": 2}, user=self.sam, count=1)

    def test_without_products_there_is_nothing_to_foresee(self):
        with answering("forecast") as forecasts, self.assertRaises(Refused):
            request("forecast", user=self.sam)
        forecasts.assert_refused(409)

    def test_a_customer_is_refused(self):
        ada = User.objects.create_user("ada")
        with answering("forecast", {"percent": 100}) as forecasts:
            with self.assertRaises(Refused) as caught:
                call_rpc(ada, "instant.request", {"name": "forecast"})
            self.assertEqual(caught.exception.code, 403)
        forecasts.assert_nothing_asked()
