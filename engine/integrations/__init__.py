"""The engine as a model of other people's tools. Each module needs the tool it is named after."""
