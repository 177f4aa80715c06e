"""The OpenAI API over one EngineCore: FastAPI and uvicorn outside, one engine thread inside."""
