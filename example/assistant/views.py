from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render

from assistant.answering import answer_in_background
from assistant.models import MAX_LENGTH, Question

SHOWN = 10


@login_required
def assistant(request):
    if request.method == "POST":
        text = " ".join(request.POST.get("text", "").split())[:MAX_LENGTH]
        if text:
            answer_in_background(Question.objects.create(text=text, author=request.user))
        return redirect("assistant")
    questions = request.user.questions.all()[:SHOWN]
    return render(
        request, "assistant/assistant.html", {"questions": questions, "max_length": MAX_LENGTH}
    )
