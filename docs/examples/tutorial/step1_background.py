import os

from fastapi import BackgroundTasks, FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel

app = FastAPI()
client = AsyncOpenAI(
    base_url=os.environ.get("LLM_BASE_URL", "http://127.0.0.1:8766/v1"),
    api_key=os.environ.get("LLM_API_KEY", "stand-in"),
)
analyses: dict[str, str] = {}


class Paper(BaseModel):
    number: str
    text: str


async def analyse(paper: Paper) -> None:
    completion = await client.chat.completions.create(
        model="qwen-plus", messages=[{"role": "user", "content": paper.text}]
    )
    analyses[paper.number] = completion.choices[0].message.content or ""


@app.post("/papers", status_code=202)
async def submit(paper: Paper, background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(analyse, paper)
