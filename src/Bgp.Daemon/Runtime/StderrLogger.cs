using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Bgp.Daemon.Runtime;

/// <summary>
/// Log lines to standard error from a bounded queue on a thread of its own. The framework's console logger waits when its queue is full; a
/// routing loop must never wait for a terminal, so here lines are dropped and counted, and the count is said as soon as there is room.
/// </summary>
internal sealed class StderrLoggerProvider : ILoggerProvider
{
    private const int Capacity = 4096;

    private readonly BlockingCollection<byte[]> _lines = new(Capacity);
    private readonly Thread _thread;
    private readonly Stream _out;
    private readonly TimeProvider _time;
    private readonly Action<string>? _tap;
    private long _dropped;

    internal StderrLoggerProvider(Stream output, LogLevel level, bool json, TimeProvider time, Action<string>? tap = null)
    {
        (_out, Level, Json, _time, _tap) = (output, level, json, time, tap);
        _thread = new Thread(Drain) { IsBackground = true, Name = "log" };
        _thread.Start();
    }

    /// <summary>Least level that is written. May change while running (reload).</summary>
    internal LogLevel Level { get; set; }

    /// <summary>One JSON object per line rather than text.</summary>
    internal bool Json { get; set; }

    /// <summary>Lines lost because the reader of standard error was too slow.</summary>
    internal long Dropped => Volatile.Read(ref _dropped);

    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_lines.IsAddingCompleted)
        {
            return;
        }

        _lines.CompleteAdding();

        // Bounded: a blocked terminal must not keep the process from ending.
        _thread.Join(TimeSpan.FromSeconds(1));
    }

    private void Drain()
    {
        foreach (byte[] line in _lines.GetConsumingEnumerable())
        {
            try
            {
                _out.Write(line);
                long dropped = _lines.Count == 0 ? Interlocked.Exchange(ref _dropped, 0) : 0;
                if (dropped > 0)
                {
                    _out.Write(Format(LogLevel.Warning, "log", string.Create(CultureInfo.InvariantCulture, $"{dropped} lines were dropped: standard error is read too slowly"), null));
                }
            }
            catch (IOException)
            {
                // Nobody reads standard error any more; there is nowhere to say so.
                Interlocked.Increment(ref _dropped);
            }
        }
    }

    private void Write(LogLevel level, string category, string message, Exception? exception)
    {
        _tap?.Invoke(message);
        try
        {
            if (!_lines.TryAdd(Format(level, category, message, exception)))
            {
                Interlocked.Increment(ref _dropped);
            }
        }
        catch (InvalidOperationException)
        {
            // Closed while shutting down.
            Interlocked.Increment(ref _dropped);
        }
    }

    private byte[] Format(LogLevel level, string category, string message, Exception? exception)
    {
        string time = _time.GetUtcNow().UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
        string word = level switch
        {
            LogLevel.Trace => "trace",
            LogLevel.Debug => "debug",
            LogLevel.Information => "info",
            LogLevel.Warning => "warning",
            LogLevel.Error => "error",
            _ => "fatal",
        };
        if (!Json)
        {
            StringBuilder text = new();
            text.Append(time).Append(' ').Append(word).Append(' ').Append(category).Append(": ").Append(OneLine(message));
            if (exception is not null)
            {
                text.Append(" | ").Append(OneLine(exception.ToString()));
            }

            return Encoding.UTF8.GetBytes(text.Append('\n').ToString());
        }

        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter json = new(buffer))
        {
            json.WriteStartObject();
            json.WriteString("time", time);
            json.WriteString("level", word);
            json.WriteString("source", category);
            json.WriteString("message", message);
            if (exception is not null)
            {
                json.WriteString("exception", exception.ToString());
            }

            json.WriteEndObject();
        }

        buffer.Write("\n"u8);
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>A peer's text (a shutdown message, say) must not forge a line.</summary>
    private static string OneLine(string text) =>
        text.AsSpan().IndexOfAnyInRange('\0', '\x1f') < 0 ? text : string.Create(text.Length, text, static (span, source) =>
        {
            for (int i = 0; i < span.Length; i++)
            {
                span[i] = source[i] < ' ' ? ' ' : source[i];
            }
        });

    private sealed class Logger(StderrLoggerProvider owner, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= owner.Level && logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                owner.Write(logLevel, category, formatter(state, exception), exception);
            }
        }
    }
}
