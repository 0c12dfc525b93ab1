using System.Runtime.InteropServices;
using Bgp.Daemon.Cli;
using Bgp.Daemon.Config;
using Bgp.Daemon.Runtime;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Bgp.Daemon;

/// <summary>The process around the daemon: configuration, log, signals, life time.</summary>
internal static class DaemonHost
{
    /// <summary>Runs until SIGTERM, SIGINT or <c>shutdown</c>; the exit code.</summary>
    internal static async Task<int> RunAsync(RunOptions options)
    {
        // Replies leave on the thread that received what caused them: any hop to the pool costs more than the reply. Nothing may block there.
        Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");
        ConfigResult config = options.Load(options.ConfigPath);
        foreach (ConfigIssue issue in config.Issues)
        {
            await Console.Error.WriteLineAsync(issue.ToString()).ConfigureAwait(false);
        }

        if (config.Model is not { } model)
        {
            return 1;
        }

        TimeProvider time = TimeProvider.System;
        using StderrLoggerProvider provider = new(Console.OpenStandardError(), Level(model.Log.Level), model.Log.Json, time);
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true, ApplicationName = "pipit" });
        builder.Logging.ClearProviders();
        builder.Logging.SetMinimumLevel(LogLevel.Trace);
        builder.Logging.AddProvider(provider);
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);

        // What it has to say of a failed start is thrown as well, and then said in one line without its stack.
        builder.Logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);
        builder.Services.Configure<HostOptions>(static host => host.ShutdownTimeout = TimeSpan.FromSeconds(10));
        builder.Services.AddSingleton(services =>
            new BgpDaemon(options.ConfigPath, model, time, services.GetRequiredService<ILoggerFactory>().CreateLogger("pipit"), provider) { Load = options.Load });
        builder.Services.AddSingleton<DaemonService>(services =>
            new DaemonService(services.GetRequiredService<BgpDaemon>(), options.SocketPath, services.GetRequiredService<IHostApplicationLifetime>()));
        builder.Services.AddHostedService(static services => services.GetRequiredService<DaemonService>());
        using IHost host = builder.Build();
        using PosixSignalRegistration hangup = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
        {
            context.Cancel = true;
            ThreadPool.QueueUserWorkItem(_ => host.Services.GetRequiredService<BgpDaemon>().Reload(null, dryRun: false, confirm: null));
        });
        DaemonService service = host.Services.GetRequiredService<DaemonService>();
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, service.OnSignal);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, service.OnSignal);
        try
        {
            await host.RunAsync().ConfigureAwait(false);
            return service.ExitCode;
        }
        catch (Exception exception) when (exception is InvalidOperationException or IOException or System.Net.Sockets.SocketException)
        {
            await Console.Error.WriteLineAsync("pipit: " + exception.Message).ConfigureAwait(false);
            return 1;
        }
    }

    /// <summary>A level's name in the configuration.</summary>
    internal static LogLevel Level(string name) => name switch
    {
        "trace" => LogLevel.Trace,
        "debug" => LogLevel.Debug,
        "warning" or "warn" => LogLevel.Warning,
        "error" => LogLevel.Error,
        "none" => LogLevel.None,
        _ => LogLevel.Information,
    };
}

/// <summary>The daemon as the host's service.</summary>
internal sealed class DaemonService(BgpDaemon daemon, string socketPath, IHostApplicationLifetime lifetime) : IHostedService
{
    private bool _hard;

    internal int ExitCode { get; private set; }

    /// <inheritdoc/>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await daemon.StartAsync(socketPath, cancellationToken).ConfigureAwait(false);
        _ = WaitForShutdownAsync();
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => daemon.StopAsync(_hard);

    /// <summary>SIGTERM and SIGINT end the process as a graceful restart would.</summary>
    internal void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        lifetime.StopApplication();
    }

    private async Task WaitForShutdownAsync()
    {
        _hard = await daemon.ShutdownRequested.Task.ConfigureAwait(false);
        lifetime.StopApplication();
    }
}
