System.Console.WriteLine("fuzz entry points are added with the parsers");
