import anyio
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from pacer import BoundedQueue, LoggingObserver, Scheduler
from pacer.fastapi import ReceiptView, install_error_handlers, lifespan
from pacer.opentelemetry import Tracing
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore

provider = TracerProvider()
# In production: OTLPSpanExporter() of opentelemetry-exporter-otlp.
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)

scheduler = Scheduler(
    queue=BoundedQueue(50),
    pacing=FixedPause(10),
    store=SqliteStore("jobs.db"),
    observers=(LoggingObserver(), Tracing()),
)


@scheduler.task(name="summarise")
async def summarise(text: str) -> str:
    with trace.get_tracer(__name__).start_as_current_span("call the model"):
        await anyio.sleep(0.1)  # here you call the service that limits you
    return text.partition(" ")[0]


app = FastAPI(lifespan=lifespan(scheduler))
FastAPIInstrumentor.instrument_app(app)  # each request is a span
install_error_handlers(app)


@app.post("/summaries", status_code=202)
async def submit(text: str) -> ReceiptView:
    return ReceiptView.of(await scheduler.enqueue(summarise, text))
