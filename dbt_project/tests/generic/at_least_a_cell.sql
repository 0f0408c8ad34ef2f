{# A number of members below the fewest that an aggregate may show (C-10.7). #}
{% test at_least_a_cell(model, column_name) %}

select {{ column_name }}
from {{ model }}
where {{ column_name }} < {{ cell() }}

{% endtest %}
