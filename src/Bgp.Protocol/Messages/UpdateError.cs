namespace Bgp.Protocol;

/// <summary>What RFC 7606 section 2 makes of an error, weakest first.</summary>
public enum UpdateAction : byte
{
    /// <summary>No error.</summary>
    None = 0,

    /// <summary>The attribute was left out; the routes stand.</summary>
    AttributeDiscard = 1,

    /// <summary>Every prefix that the message announces is taken as withdrawn. The session goes on.</summary>
    TreatAsWithdraw = 2,

    /// <summary>The session ends with <see cref="UpdateError.Notification"/>.</summary>
    SessionReset = 3,
}

/// <summary>The outcome of checking an UPDATE: the strongest action that any of its errors asks for (RFC 7606 section 3 (h)).</summary>
/// <param name="Action">What to do.</param>
/// <param name="Notification">What to send; only set with <see cref="UpdateAction.SessionReset"/>.</param>
/// <param name="Attribute">The attribute in error; <see cref="AttributeCode.Local"/> when it is not about one.</param>
/// <param name="Reason">A constant text, never built per message; null without an error.</param>
public readonly record struct UpdateError(UpdateAction Action, NotificationError Notification, AttributeCode Attribute, string? Reason)
{
    /// <summary>No error.</summary>
    public static UpdateError None => default;

    /// <summary>Whether there was any error.</summary>
    public bool IsError => Action != UpdateAction.None;

    /// <summary>Session reset with this NOTIFICATION.</summary>
    public static UpdateError Reset(NotificationError notification, string reason, AttributeCode attribute = AttributeCode.Local) =>
        new(UpdateAction.SessionReset, notification, attribute, reason);

    /// <inheritdoc/>
    public override string ToString() => IsError ? $"{Action}: {Reason} ({Attribute})" : "none";
}

/// <summary>A route that is correct but has been here before (RFC 4271 section 9.1.2, RFC 4456 section 8).</summary>
public enum LoopKind : byte
{
    /// <summary>No loop.</summary>
    None = 0,

    /// <summary>Our AS number is in AS_PATH.</summary>
    OwnAs = 1,

    /// <summary>ORIGINATOR_ID is our identifier.</summary>
    OwnOriginatorId = 2,

    /// <summary>Our cluster id is in CLUSTER_LIST.</summary>
    OwnClusterId = 3,
}
