"""The channel of each answer."""

from instant import Namespace

from assistant.models import Question


class AnswerChannel(Namespace):
    """``answer:7``, for whoever has asked question 7."""

    name = "answer"
    pattern = "<int:pk>"

    def can_subscribe(self, user, pk):
        return user.is_authenticated and Question.objects.filter(pk=pk, author=user).exists()

    def can_subscribe_many(self, user, many):
        if not user.is_authenticated:
            return [False] * len(many)
        own = Question.objects.filter(author=user, pk__in=[channel["pk"] for channel in many])
        own = set(own.values_list("pk", flat=True))
        return [channel["pk"] in own for channel in many]
