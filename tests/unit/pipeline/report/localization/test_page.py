import pytest

from pipeline.report.localization.page import describe_rule


class TestRule:
    @pytest.mark.parametrize(
        ("method", "supervision", "recipe", "said", "unsaid"),
        [
            (
                "cpsp",
                "full",
                "authors",
                "A segment above 0.5 has the category of its clip",
                "whose class is background",
            ),
            ("cmbs", "weak", "authors", "so are all of a clip whose class is background", "there is no threshold"),
            ("cmbs", "weak", "common", "the others are background.", "whose class is background"),
            ("psp", "full", "authors", "there is no threshold", "above 0.5"),
            ("ave_att", "weak", "common", "the class that is most probable in it", "above 0.5"),
        ],
    )
    def test_the_rule_is_that_of_method_and_recipe(self, make_params, method, supervision, recipe, said, unsaid):
        chosen = {"train.method": method, "train.supervision": supervision, "train.recipe": recipe}
        rule = describe_rule(make_params(**chosen).train)
        assert said in rule
        assert unsaid not in rule

    def test_the_page_says_it(self, page):
        assert "A segment above 0.5 has the category of its clip, the others are background." in page.text
