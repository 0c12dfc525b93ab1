System.Console.WriteLine("pipit");
