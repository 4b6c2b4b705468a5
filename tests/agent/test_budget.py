"""What one question may cost. Each bound, reached in each step: never more requests than it allows (counted at the
server), the best truthful answer so far, and a warning that names the bound."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from reasonir_agent import AgentSettings, Corpus, ask, ask_async, build_agent
from reasonir_agent.agent.citations import marks
from reasonir_agent.agent.spending import left, spending
from reasonir_agent.agent.state import add_usage
from reasonir_agent.errors import InputError
from reasonir_agent.llm import Bounds, Meter, Price
from reasonir_agent.llm.meter import Estimate
from reasonir_agent.testing import Reply, ScriptedChatServer
from reasonir_agent.types import Answer

ALL = 10
"""Calls of a question with the scripted model: rewrite, six scores, grading, answer, support."""


def is_truthful(answer: Answer, corpus: Corpus) -> None:
    """Every citation's words stand in its passage, no passage is missing, and the whole is JSON."""
    assert {hit.passage.id for hit in answer.hits} == {hit.passage.id for hit in corpus.find([answer.question], 100)}
    texts = {hit.passage.id: hit.passage for hit in answer.hits}
    for one in answer.citations:
        passage = texts[one.id]
        assert passage.text[one.start - passage.start : one.end - passage.start] == one.quote
    assert answer.abstained == (not answer.citations)
    assert answer.answer.strip()
    assert json.loads(json.dumps(answer.as_json())) == answer.as_json()


class TestCalls:
    @pytest.mark.parametrize("bound", range(ALL + 3))
    def test_at_most_so_many_requests_are_sent(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, bound: int
    ) -> None:
        said = model()
        with ScriptedChatServer(said) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server), settings=AgentSettings(max_calls=bound))
            assert len(server.requests) == answer.usage.llm_calls <= bound
        is_truthful(answer, corpus)
        assert any(f"the bound of {bound} calls" in one for one in answer.warnings) == (
            bound <= ALL + 1
        )  # two are held back for a repair and its judgement
        if bound >= 1:
            assert said.asked["answer"] == 1, "the answer's part is held back"

    def test_retries_count(self, corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
        with ScriptedChatServer(lambda _: Reply("busy", status=503)) as server:
            chat = open_chat(server, max_retries=9)
            chat.pause = no_pause
            answer = ask(question, store=corpus, chat_model=chat, settings=AgentSettings(max_calls=7))
            assert len(server.requests) == answer.usage.llm_calls == 7
        is_truthful(answer, corpus)
        assert all("the bound of 7 calls for one question is reached" in one for one in answer.warnings[:2])

    def test_a_repair_counts_too(self, corpus: Corpus, model: Any, open_chat: Any, question: str, draft: Any) -> None:
        said = model(answer=draft("It is so because of salt [99].", (99, "x")))
        with ScriptedChatServer(said) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server), settings=AgentSettings(max_calls=9))
            assert len(server.requests) <= 9
        is_truthful(answer, corpus)

    def test_a_second_round_is_bounded_with_the_first(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        said = model(grade='{"verdict": "search", "missing": ["a", "b", "c"]}')
        for bound in (11, 12, 14):
            with ScriptedChatServer(said) as server:
                answer = ask(
                    question,
                    store=corpus,
                    chat_model=open_chat(server),
                    settings=AgentSettings(max_calls=bound, rounds=9),
                )
                assert len(server.requests) <= bound
            is_truthful(answer, corpus)
            assert answer.citations[0].quote == "Borrowers repay", "written by the model, not extracted"


SOUND, BOLD = "Borrowers repay with less [{n}].", "Borrowers never have to repay anything [{n}]."


def stubborn() -> dict[str, Any]:
    """Wants a second round, claims what its quote does not say, and on its repair claims it in other words."""

    def answer(claim: str) -> Callable[[str], str]:
        def said(text: str) -> str:
            n = 1 + text.split("Borrowers")[0].count("</passage>")
            quotes = [{"n": n, "quote": quote} for quote in ("Borrowers repay", "buys less")]
            return json.dumps({"found": True, "answer": f"{SOUND} {claim}".format(n=n), "citations": quotes})

        return said

    def judge(text: str) -> str:
        pairs = [{"pair": one["pair"], "supported": "with less" in one["sentence"]} for one in json.loads(text)]
        return json.dumps({"pairs": pairs})

    return {
        "grade": '{"verdict": "search", "missing": ["what lenders do", "what banks do"]}',
        "answer": [answer(BOLD), answer(BOLD.replace("never", "hardly ever"))],
        "support": judge,
    }


class TestTheWorstAnswer:
    """Every bound, whatever it cuts off: repair, judgement, second judgement."""

    EVERYTHING = 15
    """Two rounds: 1 + 6 + 1, then 2 rewrites; answer, judgement, repair, judgement; one for the estimate."""

    def ask(self, corpus: Corpus, model: Any, open_chat: Any, question: str, **bounds: Any) -> tuple[Answer, Any]:
        said = model(**stubborn())
        with ScriptedChatServer(said) as server:
            settings = AgentSettings(**{"prompt_price": 1.0, "completion_price": 4.0, **bounds})
            answer = ask(question, store=corpus, chat_model=open_chat(server, max_tokens=150), settings=settings)
            assert len(server.requests) == answer.usage.llm_calls
        is_truthful(answer, corpus)
        supported = [one.n for one in answer.citations if one.verified == "supported"]
        assert marks(answer.answer) <= {one.n for one in answer.citations if one.verified != "unsupported"}
        judged = said.asked["support"] > 0
        assert judged or not supported, "nothing is called supported that nobody judged"
        if judged:
            assert "anything. [no source]" in answer.answer, "what was refuted is not shown as cited"
            assert supported
        return answer, said

    @pytest.mark.parametrize("bound", range(EVERYTHING + 3))
    def test_calls(self, corpus: Corpus, model: Any, open_chat: Any, question: str, bound: int) -> None:
        answer, said = self.ask(corpus, model, open_chat, question, max_calls=bound)
        assert answer.usage.llm_calls <= bound
        assert said.asked["answer"] >= min(bound, 1)
        if bound >= 7:
            assert (said.asked["answer"], said.asked["support"]) == (2, 2), "all four are held back"
        named = any(f"the bound of {bound} calls" in one for one in answer.warnings)
        assert named == (sum(said.asked.values()) < self.EVERYTHING - 1)

    @pytest.mark.parametrize("bound", [0, 700, 1500, 2500, 3500, 5000, 8000, 12_000, 50_000])
    def test_tokens(self, corpus: Corpus, model: Any, open_chat: Any, question: str, bound: int) -> None:
        answer, said = self.ask(corpus, model, open_chat, question, max_tokens=bound)
        assert answer.usage.prompt_tokens + answer.usage.completion_tokens <= bound
        assert any(f"the bound of {bound} tokens" in one for one in answer.warnings) == (bound < 8000)
        assert (said.asked["answer"] > 0) == (bound >= 1500), "half is held back for it"

    @pytest.mark.parametrize("bound", [0.0, 0.002, 0.004, 0.008, 0.1])
    def test_money(self, corpus: Corpus, model: Any, open_chat: Any, question: str, bound: float) -> None:
        answer, said = self.ask(corpus, model, open_chat, question, max_money=bound)
        assert answer.usage.cost is not None and answer.usage.cost <= bound
        assert any(f"the bound of {bound:g} units" in one for one in answer.warnings) == (bound < 0.1)
        assert (said.asked["answer"] > 0) == (bound >= 0.002)


class TestTokens:
    @pytest.mark.parametrize("bound", [0, 100, 500, 900, 1400, 2000, 3000, 5000])
    def test_the_servers_count_stays_within(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, bound: int
    ) -> None:
        with ScriptedChatServer(model()) as server:
            chat = open_chat(server, max_tokens=100)
            answer = ask(question, store=corpus, chat_model=chat, settings=AgentSettings(max_tokens=bound))
        assert answer.usage.prompt_tokens + answer.usage.completion_tokens <= bound
        is_truthful(answer, corpus)
        assert all(f"the bound of {bound} tokens" in one for one in answer.warnings)

    def test_a_server_that_reports_nothing_is_bounded_by_estimates_through_all_steps(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        said, sizes = model(), []

        def silent(request: Mapping[str, Any]) -> Reply:
            text = said(request)
            sizes.append(sum(len(str(one["content"])) for one in request["messages"]) // 2)
            body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": str(text)}}
            ]}  # fmt: skip
            return Reply(body=json.dumps(body).encode())

        settings = AgentSettings(max_tokens=3000, prompt_price=1.0, completion_price=1.0)
        with ScriptedChatServer(silent) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server, max_tokens=100), settings=settings)
        assert 0 < sum(sizes) <= 3000, "what the steps before were estimated at counts in the next"
        assert any("the bound of 3000 tokens" in one for one in answer.warnings)
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (0, 0), "none is invented"
        assert answer.usage.cost is None, "and the cost is unknown, not nothing"
        is_truthful(answer, corpus)

    def test_a_reply_longer_than_allowed_is_the_last(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        said = model(rewrite="word " * 3000)
        with ScriptedChatServer(said) as server:
            answer = ask(
                question,
                store=corpus,
                chat_model=open_chat(server, max_tokens=50),
                settings=AgentSettings(max_tokens=2500),
            )
        assert dict(said.asked) == {"rewrite": 1}
        is_truthful(answer, corpus)


class TestMoney:
    @pytest.mark.parametrize("bound", [0.0, 0.001, 0.002, 0.003])
    def test_the_cost_stays_within(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, bound: float
    ) -> None:
        settings = AgentSettings(max_money=bound, prompt_price=1.0, completion_price=4.0)
        with ScriptedChatServer(model()) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server, max_tokens=100), settings=settings)
        assert answer.usage.cost is not None and answer.usage.cost <= bound
        is_truthful(answer, corpus)
        assert answer.warnings and all(f"the bound of {bound:g} units of money" in one for one in answer.warnings)

    def test_a_bound_without_prices_is_refused(self) -> None:
        with pytest.raises(InputError, match="max_money must be given together with prompt_price"):
            AgentSettings(max_money=1.0)
        with pytest.raises(InputError, match="together with completion_price"):
            AgentSettings(prompt_price=1.0)

    def test_the_models_own_price_is_told(self, corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
        with ScriptedChatServer(model()) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server, price=Price(1_000_000, 0)))
        assert answer.usage.cost == pytest.approx(answer.usage.prompt_tokens)


class TestSeconds:
    @pytest.mark.slow
    @pytest.mark.parametrize("step", ["rewrite", "rerank", "grade", "answer", "support"])
    def test_what_is_under_way_is_cut_off(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, step: str
    ) -> None:
        late = Reply("Score: 3", delay=200)
        with ScriptedChatServer(model(**{step: late})) as server:
            chat = open_chat(server, timeout=300)
            began = time.monotonic()
            answer = ask(question, store=corpus, chat_model=chat, settings=AgentSettings(max_seconds=2))
            assert time.monotonic() - began < 60
            assert server.requests
        is_truthful(answer, corpus)
        assert any("the bound of 2 seconds for one question is reached" in one for one in answer.warnings)
        if step in ("rewrite", "rerank", "grade"):
            assert any("Borrowers repay" in one.quote for one in answer.citations), "the answer's time was held back"

    async def test_waiting_for_others_counts(self) -> None:
        """The limit of requests under way is shared with other questions; the bound on time holds in the queue too."""
        from reasonir_agent.errors import BudgetSpent
        from reasonir_agent.llm import open_chat_model

        with ScriptedChatServer([Reply("late", delay=200)]) as server:
            chat = open_chat_model("openai:test", base_url=server.base_url, timeout=300, concurrency=1)
            other = asyncio.create_task(chat.complete([("user", "x")], meter=Meter()))
            await until(lambda: server.requests)
            with pytest.raises(BudgetSpent, match=r"0\.2 seconds"):
                await chat.complete([("user", "x")], meter=Meter(bounds=Bounds(seconds=0.2)))
            other.cancel()
        assert len(server.requests) == 1


class TestTheMeter:
    """The arithmetic of one step after the other."""

    def test_what_is_held_back_may_be_more_than_the_bound(self) -> None:
        meter = Meter(bounds=Bounds(calls=1, tokens=10), held_back=Bounds(calls=3, tokens=50))
        with pytest.raises(Exception, match="the bound of 1 calls for one question is reached"):
            asyncio.run(reserve(meter))

    @pytest.mark.parametrize(("calls", "held"), [(0, 0), (1, 1), (2, 1), (3, 2), (5, 3), (6, 3), (7, 4), (250, 4)])
    def test_the_answers_part_is_four_calls_or_half(self, calls: int, held: int) -> None:
        settings = AgentSettings(max_calls=calls)
        assert spending(settings, {}).meter.held_back.calls == held
        assert spending(settings, {}, for_answer=True).meter.held_back.calls is None

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ((500_000, 600, 10), (100_000, 120, 2)),  # a fifth
            ((50_000, 200, 0.1), (14_000, 60, 0.022)),  # what the answer's four calls may take
            ((1_000, 50, 0.01), (500, 25, 0.005)),  # half
        ],
    )
    def test_of_everything_else_a_fifth_or_what_an_answer_takes_or_half(self, given: Any, kept: Any) -> None:
        tokens, seconds, money = given
        settings = AgentSettings(
            max_tokens=tokens, max_seconds=seconds, max_money=money, prompt_price=1, completion_price=3
        )
        held = spending(settings, {}).meter.held_back
        assert (held.tokens, held.seconds, held.money) == pytest.approx(kept)
        assert spending(settings, {}, for_answer=True).meter.held_back == Bounds()
        none = AgentSettings(max_calls=None, max_tokens=None, max_seconds=None)
        assert spending(none, {}).meter.held_back == Bounds()

    def test_steps_add_up(self) -> None:
        settings = AgentSettings(max_tokens=1000, max_seconds=100, prompt_price=2.0, completion_price=3.0)
        usage: dict[str, Any] = {}
        carried: dict[str, float] = {}
        for _ in range(3):
            step = spending(settings, usage, carried=carried)
            step.meter.llm_calls += 1
            step.meter.settle(100, 10, estimate=Estimate(100, 10))
            usage, carried = add_usage(usage, step.usage()), step.meter.carried()
        assert (usage["llm_calls"], usage["prompt_tokens"], usage["completion_tokens"]) == (3, 300, 30)
        assert usage["cost"] == pytest.approx((300 * 2 + 30 * 3) / 1e6)
        late = spending(settings, {**usage, "seconds": 51.0})
        assert late.meter.seconds_left is not None and late.meter.seconds_left < 0, "50 of 100 before the answer"
        assert spending(settings, {**usage, "seconds": 51.0}, for_answer=True).meter.seconds_left == pytest.approx(
            49, abs=1
        )

    def test_what_came_before_the_agent_is_taken_from_its_bounds(self) -> None:
        settings = AgentSettings(
            max_calls=10, max_tokens=1000, max_seconds=None, max_money=1, prompt_price=1000, completion_price=2000
        )
        usage = {"llm_calls": 2, "prompt_tokens": 100, "completion_tokens": 50, "seconds": 3.0, "cost": None}
        less = left(settings, usage, {"prompt_tokens": 10, "completion_tokens": 5})
        assert (less.max_calls, less.max_tokens, less.max_seconds) == (8, 835, None)
        assert less.max_money == pytest.approx(1 - 0.11 - 0.11), "what no server reported counts too"
        assert left(settings, {**usage, "llm_calls": 11}).max_calls == 0
        assert left(settings, {}) == settings

    def test_what_nobody_reported_is_carried_on(self) -> None:
        first = Meter(price=Price(1, 1))
        first.settle(0, 0, characters=1000, estimate=Estimate(500, 2000), reply=80)
        first.settle(900, 1, characters=1000, estimate=Estimate(500, 2000))
        first.lost(Estimate(7, 3))
        assert first.carried() == {
            "prompt_tokens": 507,
            "completion_tokens": 43,
            "silent": 1,
            "tokens_per_byte": 0.9,
        }
        second = Meter(before=json.loads(json.dumps(first.carried())), price=Price(1, 1))
        assert second.carried() == first.carried()
        assert second.estimate(1000, 0, 5) == Estimate(900, 5)
        assert second.cost is None

    async def test_a_time_out_counts_for_the_bound_and_a_refusal_does_not(self) -> None:
        from reasonir_agent.errors import ChatError
        from reasonir_agent.llm import open_chat_model

        for reply, counts in (
            (Reply("late", delay=5), True),
            (Reply(drop=True), True),
            (Reply("no", status=500), False),
        ):
            with ScriptedChatServer([reply]) as server:
                chat = open_chat_model("openai:m", base_url=server.base_url, timeout=0.3, max_retries=0, max_tokens=70)
                meter = Meter()
                with pytest.raises(ChatError):
                    await chat.complete([("user", "x")], meter=meter)
            assert meter.carried()["completion_tokens"] == (70 if counts else 0)
            assert meter.completion_tokens == 0

    def test_an_unreachable_server_costs_nothing(self) -> None:
        from reasonir_agent.errors import ChatError
        from reasonir_agent.llm import open_chat_model

        with ScriptedChatServer(["x"]) as server:
            chat = open_chat_model("openai:m", base_url=server.base_url, max_retries=0)
        meter = Meter()
        with pytest.raises(ChatError):
            asyncio.run(chat.complete([("user", "x")], meter=meter))
        assert meter.carried()["completion_tokens"] == 0


async def reserve(meter: Meter) -> None:
    async with meter.reserved(Estimate(1, 1)):
        pass


async def until(condition: Callable[[], object]) -> None:
    """Wait for what the server's threads do."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def no_pause(seconds: float) -> None:
    """Waiting costs nothing here."""


class TestGivingUp:
    """Ctrl-C, or a client that leaves, cancels what is under way."""

    @pytest.mark.slow
    @pytest.mark.parametrize("step", ["rewrite", "rerank", "grade", "answer", "support"])
    async def test_a_cancelled_question_sends_nothing_more(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, step: str
    ) -> None:
        said = model(**{step: Reply("Score: 3", delay=0.4)})
        with ScriptedChatServer(said) as server:
            chat = open_chat(server, concurrency=2, timeout=30.0, max_retries=3)
            work = asyncio.create_task(ask_async(question, store=corpus, chat_model=chat))
            await until(lambda: said.asked[step])
            await asyncio.sleep(0.05)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            sent = len(server.requests)
            await asyncio.sleep(0.9)
            assert len(server.requests) == sent

    @pytest.mark.slow
    def test_ctrl_c_ends_a_synchronous_question(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        said = model(rerank=Reply("Score: 3", delay=0.4))

        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        usual = signal.signal(signal.SIGALRM, interrupt)
        try:
            with ScriptedChatServer(said) as server:
                chat = open_chat(server, concurrency=2, timeout=30.0)

                def press() -> None:
                    while not said.asked["rerank"]:
                        time.sleep(0.01)
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

                threading.Thread(target=press, daemon=True).start()
                with pytest.raises(KeyboardInterrupt):
                    ask(question, store=corpus, chat_model=chat)
                time.sleep(0.9)
                assert said.asked["rewrite"] == 1
                assert 1 <= said.asked["rerank"] <= 2  # the second may not have been sent yet
                assert sum(said.asked.values()) <= 3
        finally:
            signal.signal(signal.SIGALRM, usual)

    def test_a_thread_that_goes_on_knows_what_was_spent(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        """The bound is the question's, however often its thread is interrupted."""
        config: Any = {"configurable": {"thread_id": "t"}}
        with ScriptedChatServer(model()) as server:
            graph = build_agent(
                store=corpus,
                encoder=corpus.encoder,
                chat_model=open_chat(server),
                checkpointer=InMemorySaver(),
                settings=AgentSettings(max_calls=8),
            )
            graph.invoke({"question": question}, config, interrupt_before=["rerank", "grade", "answer"])
            for _ in range(3):
                state = graph.invoke(None, config, interrupt_before=["grade", "answer"])
            assert not graph.get_state(config).next
            assert len(server.requests) == state["usage"]["llm_calls"] <= 8
        assert any("the bound of 8 calls" in one for one in state["warnings"])
        assert state["citations"]
