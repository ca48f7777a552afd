from neurosim.cli.command import main

main()
