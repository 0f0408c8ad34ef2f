{# Words in place of numbers and months: what tells persons apart is shown in bands (C-3.3b), and never empty, because what is empty escapes
   every measure of risk. #}

{# 'none', '1-2', '3-9', '10 or more' for the edges 1, 3, 10, each with `unit` behind it; empty counts as none. #}
{% macro count_band(number, edges, unit="") -%}
    case
    {%- for edge in edges %}
        {%- if loop.first %}
        when coalesce({{ number }}, 0) < {{ edge }} then 'none'
        {%- else %}
        when {{ number }} < {{ edge }} then '{{ edges[loop.index0 - 1] }}{% if edge - 1 > edges[loop.index0 - 1] %}-{{ edge - 1 }}{% endif %}{{ unit }}'
        {%- endif %}
    {%- endfor %}
        else '{{ edges[-1] }} or more{{ unit }}'
    end
{%- endmacro %}


{# How long ago an account was opened, by calendar months from the month of `month`; one opened after the day of the build (a replay) counts as new. #}
{% macro tenure_band(month) -%}
    case
        when date_diff('month', {{ month }}, {{ as_of() }}) < 3 then 'under 3 months'
        when date_diff('month', {{ month }}, {{ as_of() }}) < 12 then '3-11 months'
        when date_diff('month', {{ month }}, {{ as_of() }}) < 36 then '1-2 years'
        else '3 years or more'
    end
{%- endmacro %}


{# How long ago something was last done, by calendar months in the same way. #}
{% macro recency_band(month) -%}
    case
        when date_diff('month', {{ month }}, {{ as_of() }}) < 2 then 'this or last month'
        when date_diff('month', {{ month }}, {{ as_of() }}) < 6 then '2-5 months ago'
        when date_diff('month', {{ month }}, {{ as_of() }}) < 12 then '6-11 months ago'
        else 'a year ago or more'
    end
{%- endmacro %}
