using System.Globalization;
using Bgp.Daemon.Config;
using Bgp.Protocol;

namespace Bgp.Daemon.Import;

/// <summary>Expressions, by precedence: or, and, comparison, sum, operand.</summary>
internal sealed partial class BirdParser
{
    private BirdExpression Expression()
    {
        if (++_depth > MaxDepth)
        {
            throw new BirdSyntaxException(Now.Place, "nested too deeply");
        }

        BirdExpression left = And();
        for (int terms = 0; Now.Is("||"); terms++)
        {
            BirdPlace place = Bounded(terms);
            left = new BinaryExpression(place, "||", left, And());
        }

        _depth--;
        return left;
    }

    /// <summary>Takes an operator; the place of it.</summary>
    private BirdPlace Bounded(int terms)
    {
        BirdPlace place = Now.Place;
        _at++;
        return terms < MaxTerms ? place : throw new BirdSyntaxException(place, "an expression with too many terms");
    }

    private BirdExpression And()
    {
        BirdExpression left = Comparison();
        for (int terms = 0; Now.Is("&&"); terms++)
        {
            BirdPlace place = Bounded(terms);
            left = new BinaryExpression(place, "&&", left, Comparison());
        }

        return left;
    }

    private BirdExpression Comparison()
    {
        BirdExpression left = Sum();
        if (Now.Kind == BirdTokenKind.Sign && Now.Text is "=" or "!=" or "<" or ">" or "<=" or ">=" or "~" or "!~")
        {
            BirdToken sign = Now;
            _at++;
            return new BinaryExpression(sign.Place, sign.Text, left, Sum());
        }

        return left;
    }

    private BirdExpression Sum()
    {
        BirdExpression left = Operand();
        for (int terms = 0; Now.Is("-") || Now.Is("+"); terms++)
        {
            BirdToken sign = Now;
            _ = Bounded(terms);
            left = new BinaryExpression(sign.Place, sign.Text, left, Operand());
        }

        return left;
    }

    private BirdExpression Operand()
    {
        BirdToken token = Now;
        if (Take("!"))
        {
            if (++_depth > MaxDepth)
            {
                throw new BirdSyntaxException(token.Place, "nested too deeply");
            }

            BirdExpression negated = Operand();
            _depth--;
            return new NotExpression(token.Place, negated);
        }

        if (Take("("))
        {
            BirdExpression inner = Expression();
            if (Now.Is(","))
            {
                List<uint> values = [Value(inner)];
                while (Take(","))
                {
                    values.Add(Value(Expression()));
                }

                Expect(")");
                return values.Count is 2 or 3 ? new TupleExpression(token.Place, [.. values]) : throw new BirdSyntaxException(token.Place, "a community has two or three numbers");
            }

            Expect(")");
            return inner;
        }

        if (Take("[="))
        {
            List<uint> head = [];
            while (!Take("*"))
            {
                head.Add(Value(Operand()));
            }

            Expect("=]");
            return new PathMaskExpression(token.Place, [.. head]);
        }

        if (Take("["))
        {
            return Set(token.Place);
        }

        _at++;
        switch (token.Kind)
        {
            case BirdTokenKind.Number:
                return long.TryParse(token.Text, NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number <= uint.MaxValue
                    ? new NumberExpression(token.Place, number) : throw new BirdSyntaxException(token.Place, $"{token.Shown} is too large");
            case BirdTokenKind.Text:
                return new TextExpression(token.Place, token.Text);
            case BirdTokenKind.Address:
                Cidr net = Net(token, out bool hasLength);
                return new NetExpression(token.Place, net, hasLength);
            case BirdTokenKind.Word when token.Text == "defined":
                Expect("(");
                BirdToken name = Name();
                Expect(")");
                return new DefinedExpression(token.Place, name.Text);
            case BirdTokenKind.Word or BirdTokenKind.Symbol:
                return new NameExpression(token.Place, token.Text);
            default:
                _at--;
                throw new BirdSyntaxException(token.Place, $"{token.Shown} is not understood in an expression");
        }
    }

    private SetExpression Set(BirdPlace place)
    {
        List<BirdSetItem> items = [];
        while (!Take("]"))
        {
            BirdToken token = Now;
            _at++;
            if (token.Kind == BirdTokenKind.Word)
            {
                items.Add(new BirdSetItem(default, 0, 0, token.Text));
            }
            else if (token.Kind == BirdTokenKind.Address)
            {
                Cidr net = Net(token, out _);
                int most = net.IsV4 ? 32 : 128;
                (int min, int max) = (net.Length, net.Length);
                if (Take("+"))
                {
                    max = most;
                }
                else if (Take("{"))
                {
                    min = Length(most);
                    Expect(",");
                    max = Length(most);
                    Expect("}");
                }

                items.Add(new BirdSetItem(net, min, max, ""));
            }
            else
            {
                _at--;
                throw new BirdSyntaxException(token.Place, $"{token.Shown} is not understood in a set");
            }

            if (!Now.Is("]"))
            {
                Expect(",");
            }
        }

        return new SetExpression(place, [.. items]);
    }

    private int Length(int most)
    {
        BirdToken token = Expect(BirdTokenKind.Number, "a length");
        return int.TryParse(token.Text, NumberStyles.None, CultureInfo.InvariantCulture, out int length) && length <= most
            ? length : throw new BirdSyntaxException(token.Place, $"{token.Shown} is not a length");
    }

    /// <summary>An address with an optional length. Host bits after the length are an error in BIRD too.</summary>
    private Cidr Net(BirdToken address, out bool hasLength)
    {
        _ = IpAddr.TryParse(address.Text, out IpAddr ip);
        int length = ip.IsV4 ? 32 : 128;
        hasLength = Take("/");
        if (hasLength)
        {
            length = Length(length);
        }

        Cidr net = new(ip, length);
        return Cidr.TryParse(net.ToString(), out Cidr valid) ? valid : throw new BirdSyntaxException(address.Place, $"{net}: bits are set after the length");
    }

    private static uint Value(BirdExpression expression) =>
        expression is NumberExpression number ? (uint)number.Value : throw new BirdSyntaxException(expression.Place, "a number is expected");
}
