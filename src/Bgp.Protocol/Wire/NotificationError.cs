namespace Bgp.Protocol;

/// <summary>
/// What a NOTIFICATION says: the reason for which a session must end, or none. Equal by content.
/// </summary>
/// <param name="Code">An <see cref="ErrorCode"/>; 0 for no error.</param>
/// <param name="Subcode">Subcode of that code; 0 is unspecific.</param>
/// <param name="Data">Data field; never longer than <see cref="MaxData"/>, so that the message always fits.</param>
public readonly record struct NotificationError(byte Code, byte Subcode, ReadOnlyMemory<byte> Data)
{
    /// <summary>The most data that fits into 4096 octets beside header, code and subcode.</summary>
    public const int MaxData = BgpConstants.MaxMessageLength - BgpConstants.MinNotificationLength;

    /// <summary>No error.</summary>
    public static NotificationError None => default;

    /// <summary>Whether there is an error: the session must end.</summary>
    public bool IsError => Code != 0;

    /// <summary>Without data.</summary>
    public NotificationError(byte code, byte subcode)
        : this(code, subcode, ReadOnlyMemory<byte>.Empty)
    {
    }

    /// <summary>Copies what was received into the data field, cut at <see cref="MaxData"/>.</summary>
    public static NotificationError WithData(byte code, byte subcode, ReadOnlySpan<byte> data) =>
        new(code, subcode, data[..Math.Min(data.Length, MaxData)].ToArray());

    /// <inheritdoc/>
    public bool Equals(NotificationError other) =>
        Code == other.Code && Subcode == other.Subcode && Data.Span.SequenceEqual(other.Data.Span);

    /// <inheritdoc/>
    public override int GetHashCode() => (Code << 16) ^ (Subcode << 8) ^ Data.Length;

    /// <summary>The error in words, without its data.</summary>
    public override string ToString() => IsError ? NotificationMessage.Describe(Code, Subcode) : "none";
}
