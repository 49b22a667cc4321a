"""What the assistant answers, and who may read it."""

from django.contrib.auth.models import AnonymousUser, User
from django.test import TestCase, override_settings
from instant.testing import assert_permissions, assert_stream

from assistant.answering import answer
from assistant.models import Question


@override_settings(ASSISTANT_SECONDS=0)
class AssistantTest(TestCase):
    def test_an_answer_is_for_whoever_has_asked(self):
        ada, bob = (User.objects.create_user(name) for name in ("ada", "bob"))
        question = Question.objects.create(text="What is in the garden?", author=ada)
        answer(question)
        self.assertIn("stainless steel", assert_stream(question.channel))
        rights = {ada: True, bob: False, AnonymousUser(): False}
        assert_permissions(question.channel, subscribe=rights)
        for user, can_read in ((ada, True), (bob, False)):
            self.client.force_login(user)
            page = self.client.get("/assistant/")
            self.assertEqual("stainless steel" in page.content.decode(), can_read)
