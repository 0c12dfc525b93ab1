using SharpFuzz;

// One process per target: `Bgp.Fuzz config`, under afl-fuzz after instrumenting the assemblies.
switch (args.FirstOrDefault())
{
    case "config":
        Fuzzer.OutOfProcess.Run(ConfigTarget.Run);
        return 0;
    default:
        Console.Error.WriteLine("usage: Bgp.Fuzz config");
        return 2;
}
