"""What an agent takes from LangChain, a model's tool and its structured answer; the import takes half a second."""

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

__all__ = ["ChatOpenAI", "HumanMessage", "OpenAIEmbeddings", "ToolMessage", "Weather", "get_weather"]


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    celsius: int


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"21 degrees in {city}"
