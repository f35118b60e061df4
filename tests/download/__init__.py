"""How the download service keeps its promises, over real HTTP on loopback."""
