import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from torch import nn

from pipeline.training import AveragedWeights, ClipGradients, Schedule, StopEarly


def weight(value: float) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def trainer(network: nn.Linear) -> Engine:
    """An engine whose iterations set the weight to what the data say."""
    return Engine(lambda _engine, value: nn.init.constant_(network.weight, value))


def test_the_average_forgets_at_its_decay_and_validation_sees_it():
    network, seen = weight(0.0), []
    evaluator = Engine(lambda _engine, _batch: seen.append(network.weight.item()))
    averaged = AveragedWeights(network, evaluator, decay=0.5)
    engine = trainer(network)
    averaged.attach(engine)
    afterwards = []

    def validate(_engine: Engine) -> None:
        evaluator.run([0])
        afterwards.append(network.weight.item())

    engine.add_event_handler(Events.EPOCH_COMPLETED, validate)
    engine.run([1.0, 3.0, 5.0])
    # decays 2/11, 3/12, 4/13 of the warm-up are below 0.5; the first average is the first weight
    average = 1.0
    for step, value in ((2, 3.0), (3, 5.0)):
        decay = (1 + step) / (10 + step)
        average = decay * average + (1 - decay) * value
    assert seen == pytest.approx([average])
    assert afterwards == [5.0]  # training goes on with its own
    assert network.weight.item() == pytest.approx(average)  # and ends with the average


def test_weights_come_back_after_a_validation_that_failed():
    network = weight(0.0)

    def fail(_engine: Engine, _batch: object) -> None:
        raise RuntimeError("no")

    evaluator = Engine(fail)
    averaged = AveragedWeights(network, evaluator, decay=0.5)
    engine = trainer(network)
    averaged.attach(engine)
    engine.run([1.0, 3.0])
    averaged.swap_out(engine)
    with pytest.raises(RuntimeError):
        evaluator.run([0])
    assert network.weight.item() == 3.0


def test_an_interrupted_training_ends_with_the_average():
    network = weight(0.0)
    engine = trainer(network)
    AveragedWeights(network, Engine(lambda _engine, _batch: None), decay=0.5).attach(engine)
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda _engine, _error: None)

    def interrupt(_engine: Engine) -> None:
        raise KeyboardInterrupt

    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), interrupt)
    engine.run([1.0, 3.0, 5.0])
    assert network.weight.item() == pytest.approx(1.0 + (3.0 - 1.0) * (1 - 3 / 12))


def test_a_training_that_stopped_early_does_not_go_on():
    stopped = StopEarly(Engine(lambda _engine, _batch: None), patience=2)
    stopped.stopped = True
    again = StopEarly(Engine(lambda _engine, _batch: None), patience=2)
    again.load_state_dict(stopped.state_dict())
    engine = Engine(lambda _engine, _batch: None)
    again.attach(engine)
    engine.run([0], max_epochs=10)
    assert engine.state.iteration == 0


def test_training_stops_when_the_best_epoch_is_long_ago():
    evaluator = Engine(lambda _engine, _batch: None)
    engine = Engine(lambda _engine, _batch: None)
    StopEarly(evaluator, patience=2).attach(engine)

    def validate(trainer: Engine) -> None:
        evaluator.state.epoch = trainer.state.epoch
        evaluator.state.best_metric_epoch = min(trainer.state.epoch, 3)
        evaluator.fire_event(Events.COMPLETED)

    engine.add_event_handler(Events.EPOCH_COMPLETED, validate)
    engine.run([0], max_epochs=10)
    assert engine.state.epoch == 5


@pytest.mark.parametrize(("max_norm", "found"), [(1.0, (0.6, 0.8)), (10.0, (3.0, 4.0))])
def test_gradients_are_scaled_down_to_the_norm_between_backward_and_step(max_norm, found):
    network = nn.Linear(2, 1, bias=False)
    engine = Engine(lambda _engine, _batch: None)
    engine.register_events(*IterationEvents)
    engine.scaler = None
    ClipGradients(network, max_norm).attach(engine)
    network.weight.grad = torch.tensor([[3.0, 4.0]])
    engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
    assert network.weight.grad[0].tolist() == pytest.approx(found)


def schedules(lr_schedule, scores):
    """The rates after each of the epochs whose validation gives ``scores``."""
    evaluator, engine = (Engine(lambda _engine, _batch: None) for _ in range(2))
    optimizer = lr_schedule.optimizer
    rates = []
    Schedule(lr_schedule, evaluator, "mean_iou").attach(engine)

    def validate(trainer: Engine) -> None:
        evaluator.state.metrics = {"mean_iou": scores[trainer.state.epoch - 1]}
        evaluator.fire_event(Events.COMPLETED)
        rates.append(optimizer.param_groups[0]["lr"])

    engine.add_event_handler(Events.EPOCH_COMPLETED, validate)
    engine.run([0], max_epochs=len(scores))
    return rates


def sgd():
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # nothing is optimised
def test_a_plateau_is_seen_in_the_score():
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(sgd(), "max", factor=0.1, patience=0)
    assert schedules(plateau, [0.5, 0.6, 0.6, 0.7]) == pytest.approx([1.0, 1.0, 0.1, 0.1])


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # nothing is optimised
def test_other_schedules_step_once_an_epoch():
    steps = torch.optim.lr_scheduler.StepLR(sgd(), step_size=2, gamma=0.5)
    assert schedules(steps, [0.0] * 4) == pytest.approx([1.0, 0.5, 0.5, 0.25])
