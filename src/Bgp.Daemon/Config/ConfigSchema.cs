using System.Text;
using System.Text.Json;

namespace Bgp.Daemon.Config;

/// <summary>JSON schema (draft 2020-12) of the configuration, made from the table of keys: it cannot fall behind the reader.</summary>
public static class ConfigSchema
{
    /// <summary>The schema, indented, with a final newline.</summary>
    public static string Text()
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteString("$schema", "https://json-schema.org/draft/2020-12/schema");
            json.WriteString("title", "Pipit configuration");
            Body(json, ConfigKeys.Root);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    private static void Write(Utf8JsonWriter json, ConfigKey key)
    {
        json.WriteStartObject();
        if (key.Default.Length > 0)
        {
            json.WriteString("description", "Default: " + key.Default);
        }

        if (key.OneOrMany || key.FromEnvironment || key.PerFamily)
        {
            json.WriteStartArray("anyOf");
            json.WriteStartObject();
            Body(json, key);
            json.WriteEndObject();
            if (key.OneOrMany)
            {
                Write(json, key.Item!);
            }
            else if (key.PerFamily)
            {
                Write(json, key.ByFamily);
            }
            else
            {
                Write(json, new ConfigKey("env", ValueKind.Map) { Keys = [new ConfigKey("env", ValueKind.Text) { Required = true }] });
            }

            json.WriteEndArray();
        }
        else
        {
            Body(json, key);
        }

        json.WriteEndObject();
    }

    private static void Body(Utf8JsonWriter json, ConfigKey key)
    {
        switch (key.Kind)
        {
            case ValueKind.Map or ValueKind.Secret:
                ConfigKey[] keys = key.Kind == ValueKind.Map ? key.Keys : [new ConfigKey("file", ValueKind.Text), new ConfigKey("env", ValueKind.Text)];
                Types(json, "object", "null");
                json.WriteBoolean("additionalProperties", false);
                json.WriteStartObject("properties");
                foreach (ConfigKey child in keys)
                {
                    json.WritePropertyName(child.Name);
                    Write(json, child);
                }

                json.WriteEndObject();
                if (keys.Any(k => k.Required))
                {
                    json.WriteStartArray("required");
                    foreach (ConfigKey child in keys.Where(k => k.Required))
                    {
                        json.WriteStringValue(child.Name);
                    }

                    json.WriteEndArray();
                }

                break;
            case ValueKind.Names:
                Types(json, "object", "null");
                json.WritePropertyName("additionalProperties");
                Write(json, key.Item!);
                break;
            case ValueKind.List:
                Types(json, "array", "null");
                json.WritePropertyName("items");
                Write(json, key.Item!);
                break;
            case ValueKind.Number:
                Types(json, "integer");
                json.WriteNumber("minimum", key.Min);
                json.WriteNumber("maximum", key.Max);
                break;
            case ValueKind.Bool:
                Types(json, "boolean");
                break;
            case ValueKind.Word:
                json.WriteStartArray("enum");
                foreach (string word in key.Words)
                {
                    json.WriteStringValue(word);
                }

                json.WriteEndArray();
                break;
            case ValueKind.Duration:
                Types(json, "string", "integer");
                json.WriteString("pattern", "^([0-9]+(ms|s|m|h|d)|0)$");
                break;
            case ValueKind.Asn or ValueKind.RouterId or ValueKind.NodeRouterId or ValueKind.Table or ValueKind.Metric or ValueKind.LengthRange or ValueKind.MetricRange:
                Types(json, "integer", "string", "number");
                break;
            case ValueKind.Name:
                Types(json, "string");
                json.WriteString("pattern", "^[^-\\s][^\\s]*$");
                break;
            case ValueKind.Prepend:
                json.WriteStartArray("anyOf");
                Write(json, new ConfigKey("count", ValueKind.Number) { Max = ConfigKeys.MaxPrepend });
                Write(json, ConfigKeys.PrependList with { Default = "" });
                json.WriteEndArray();
                break;
            case ValueKind.AddPathSend:
                Types(json, "boolean", "integer");
                break;
            default:
                Types(json, "string");
                break;
        }
    }

    private static void Types(Utf8JsonWriter json, params ReadOnlySpan<string> types)
    {
        if (types.Length == 1)
        {
            json.WriteString("type", types[0]);
            return;
        }

        json.WriteStartArray("type");
        foreach (string type in types)
        {
            json.WriteStringValue(type);
        }

        json.WriteEndArray();
    }
}
