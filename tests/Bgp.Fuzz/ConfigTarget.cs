using Bgp.Daemon.Config;

/// <summary>Any octets as a configuration: an answer, never an exception.</summary>
internal static class ConfigTarget
{
    internal static void Run(string text)
    {
        ConfigResult result = ConfigReader.Parse(text, "fuzz");
        if (result.Model is null && !result.Errors.Any())
        {
            throw new InvalidOperationException("neither a model nor an error");
        }
    }
}
