"""No file of the four packages imports, on whatever way round, a file that imports it."""

from __future__ import annotations

import grimp
import networkx


def test_no_circle_of_files() -> None:
    graph = grimp.build_graph(
        *("flows", "tasks", "engine", "expectations"),
        cache_dir=None,
        exclude_type_checking_imports=True,
    )
    imports = networkx.DiGraph(
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    )
    assert imports.number_of_nodes() > 250
    circles = [c for c in networkx.strongly_connected_components(imports) if len(c) > 1]
    assert circles == []
