"""`python -m reasonir_agent.cli`, the same as `reasonir`."""

from reasonir_agent.cli.main import main

main()
